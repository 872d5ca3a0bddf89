/** Gradient-boosted decision trees: inference. (Friedman, Annals of Statistics 29(5), 2001.) */

/** Feature number that marks a leaf. */
export const LEAF = 0xffff;

/** Nodes of all trees, each tree in preorder: the left child of a node is the one that follows it. */
export interface TreeNodes {
  /** Index of the first node of each tree. */
  roots: Uint32Array;
  /** Feature asked at the node, or {@link LEAF}. */
  features: Uint16Array;
  /** Values up to this go left; at a leaf the value that is added to the sum. */
  values: Float64Array;
  /** Index of the right child. */
  rights: Uint32Array;
}

// A node in one word: the feature below, the right child above. Leaves have the highest feature number.
const FEATURE_BITS = 10;
const FEATURE_MASK = (1 << FEATURE_BITS) - 1;
const PACKED_LEAF = FEATURE_MASK;
/** Most features that an ensemble can ask about. */
export const TREE_FEATURES_MAX: number = PACKED_LEAF;

/** An ensemble of trees whose leaf values are summed. */
export class TreeEnsemble {
  readonly #roots: Uint32Array;
  readonly #words: Uint32Array;
  readonly #values: Float64Array;
  readonly #bias: number;

  /**
   * @param nodes - the trees
   * @param bias - added to every sum
   * @throws {RangeError} when a node asks about a feature beyond {@link TREE_FEATURES_MAX}
   */
  constructor(nodes: TreeNodes, bias: number) {
    const { roots, features, values, rights } = nodes;
    this.#roots = roots;
    this.#values = values;
    this.#bias = bias;
    this.#words = Uint32Array.from(features, (feature, node) => {
      if (feature === LEAF) return PACKED_LEAF;
      if (feature < TREE_FEATURES_MAX) return ((rights[node] ?? 0) << FEATURE_BITS) | feature;
      throw new RangeError(`tree node asks about feature ${feature}, ${TREE_FEATURES_MAX} are possible`);
    });
  }

  /**
   * Sum over all trees.
   *
   * @param row - the features
   * @returns logarithm of the odds
   */
  score(row: Float64Array): number {
    const words = this.#words;
    const values = this.#values;
    let sum = this.#bias;
    for (let tree = 0; tree < this.#roots.length; tree++) {
      let node = this.#roots[tree] ?? 0;
      let word = words[node] ?? PACKED_LEAF;
      while ((word & FEATURE_MASK) !== PACKED_LEAF) {
        node = (row[word & FEATURE_MASK] ?? 0) <= (values[node] ?? 0) ? node + 1 : word >>> FEATURE_BITS;
        word = words[node] ?? PACKED_LEAF;
      }
      sum += values[node] ?? 0;
    }
    return sum;
  }
}
