// Between two styles.

/** From vector a (t = 0) to b (t = 1) along the arc: the length in between stays that of a random style. */
export function blend(a, b, t) {
  const dot = (u, v) => u.reduce((sum, value, i) => sum + value * v[i], 0);
  const [lengthA, lengthB] = [Math.sqrt(dot(a, a)), Math.sqrt(dot(b, b))];
  const cosine = lengthA && lengthB ? dot(a, b) / (lengthA * lengthB) : 1;
  const angle = Math.acos(Math.min(1, Math.max(-1, cosine)));
  const sine = Math.sin(angle);
  if (sine < 1e-4) return a.map((value, i) => value + (b[i] - value) * t);
  const [weightA, weightB] = [Math.sin((1 - t) * angle) / sine, Math.sin(t * angle) / sine];
  return a.map((value, i) => value * weightA + b[i] * weightB);
}
