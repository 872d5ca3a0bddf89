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

/** An ensemble of trees whose leaf values are summed. */
export class TreeEnsemble {
  readonly #nodes: TreeNodes;
  readonly #bias: number;

  /**
   * @param nodes - the trees
   * @param bias - added to every sum
   */
  constructor(nodes: TreeNodes, bias: number) {
    this.#nodes = nodes;
    this.#bias = bias;
  }

  /**
   * Sum over all trees.
   *
   * @param row - the features
   * @returns logarithm of the odds
   */
  score(row: Float64Array): number {
    const { roots, features, values, rights } = this.#nodes;
    let sum = this.#bias;
    for (let tree = 0; tree < roots.length; tree++) {
      let node = roots[tree] ?? 0;
      let feature = features[node] ?? LEAF;
      while (feature !== LEAF) {
        node = (row[feature] ?? 0) <= (values[node] ?? 0) ? node + 1 : (rights[node] ?? 0);
        feature = features[node] ?? LEAF;
      }
      sum += values[node] ?? 0;
    }
    return sum;
  }
}
