// The main directions in which vectors vary: eigenvectors of their matrix of products.
import { Seeded } from "./seeded.mjs";

const ROUNDS = 60;

/**
 * Eigenvectors of the greatest eigenvalues, by orthogonal iteration.
 *
 * @param lower - symmetric matrix, row by row; only its lower triangle is read
 * @param size - rows
 * @param count - how many eigenvectors
 * @returns unit vectors, greatest eigenvalue first
 */
export function principalDirections(lower, size, count) {
  const matrix = Float64Array.from(lower);
  for (let i = 0; i < size; i++) for (let j = 0; j < i; j++) matrix[j * size + i] = matrix[i * size + j];
  const random = new Seeded("directions");
  let vectors = Array.from({ length: count }, () =>
    Float64Array.from({ length: size }, () => random.normal()),
  );
  for (let round = 0; round < ROUNDS; round++)
    vectors = orthonormal(vectors.map((vector) => times(matrix, size, vector)));
  return vectors;
}

function times(matrix, size, vector) {
  const result = new Float64Array(size);
  for (let i = 0; i < size; i++) {
    let sum = 0;
    for (let j = 0; j < size; j++) sum += matrix[i * size + j] * vector[j];
    result[i] = sum;
  }
  return result;
}

// Gram and Schmidt, in place.
function orthonormal(vectors) {
  for (const [k, vector] of vectors.entries()) {
    for (let other = 0; other < k; other++) {
      const share = dot(vectors[other], vector);
      for (let i = 0; i < vector.length; i++) vector[i] -= share * vectors[other][i];
    }
    const length = Math.sqrt(dot(vector, vector)) || 1;
    for (let i = 0; i < vector.length; i++) vector[i] /= length;
  }
  return vectors;
}

function dot(a, b) {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}
