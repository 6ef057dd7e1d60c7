// The little statistics that the tests need.

export const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);
export const mean = (numbers) => sum(numbers) / numbers.length;

/** Standard deviation over mean: 1 for exponential gaps, 0 for a clockwork. */
export function variation(numbers) {
  const middle = mean(numbers);
  return Math.sqrt(mean(numbers.map((number) => (number - middle) ** 2))) / middle;
}

/** The value below which this share of the numbers lies. */
export function quantile(numbers, share) {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
}

/** The gaps between rising times. */
export const gapsOf = (times) => times.slice(1).map((time, i) => time - times[i]);

/** The largest distance between the distribution of the numbers and the exponential one with their mean. */
export function distanceToExponential(numbers) {
  const middle = mean(numbers);
  const sorted = [...numbers].sort((a, b) => a - b);
  const distances = sorted.map((number, i) => {
    const expected = 1 - Math.exp(-number / middle);
    return Math.max(Math.abs(expected - i / sorted.length), Math.abs(expected - (i + 1) / sorted.length));
  });
  return Math.max(...distances);
}

/** Chi-square of counts that should all be the same, and how probable one at least as large is. */
export function evenness(counts) {
  const expected = mean(counts);
  const chiSquare = sum(counts.map((count) => (count - expected) ** 2 / expected));
  return { chiSquare, p: chiSquareTail(chiSquare, counts.length - 1) };
}

/** The upper tail of the chi-square distribution: the regularised incomplete gamma function Q(k/2, x/2). */
export function chiSquareTail(x, freedom) {
  const [a, z] = [freedom / 2, x / 2];
  if (z <= 0) return 1;
  // Q by steps of one from Q(1/2) or Q(1): Q(s + 1, z) = Q(s, z) + z^s e^-z / Γ(s + 1).
  let [s, q, term] = freedom % 2 === 0 ? [1, Math.exp(-z), z * Math.exp(-z)] : [0.5, erfc(Math.sqrt(z)), halfTerm(z)];
  for (; s < a; s += 1) {
    q += term;
    term *= z / (s + 1);
  }
  return Math.min(1, q);
}

/** z^s e^-z / Γ(s + 1) for s = 1/2. */
const halfTerm = (z) => 2 * Math.sqrt(z / Math.PI) * Math.exp(-z);

/** Abramowitz and Stegun 7.1.26; good to 1.5e-7, which is enough for a bound of 1e-6. */
function erfc(x) {
  const t = 1 / (1 + 0.3275911 * x);
  const series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  return series * Math.exp(-x * x);
}
