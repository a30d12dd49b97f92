// Figures as people read them.

/** Seconds: "0.4 ms", "28 ms", "1.52 s", "2 min 5 s". */
export function seconds(value) {
  if (value < 0.001) return value <= 0 ? "0 ms" : "under 1 ms";
  if (value < 0.9995) return `${Math.round(value * 1000)} ms`;
  if (value < 10) return `${value.toFixed(2)} s`;
  if (value < 59.95) return `${value.toFixed(1)} s`;
  return `${Math.floor(value / 60)} min ${Math.round(value % 60)} s`;
}

/** Bytes in decimal units, as the size of a download. */
export function bytes(value) {
  if (value < 1e6) return `${Math.max(1, Math.round(value / 1e3))} kB`;
  if (value < 1e9) return `${Math.round(value / 1e6)} MB`;
  return `${(value / 1e9).toFixed(1)} GB`;
}

export const count = (value) => Math.round(value).toLocaleString("en");

export const plural = (value, one, many = `${one}s`) => `${count(value)} ${value === 1 ? one : many}`;

export function percent(share) {
  if (share <= 0) return "0%";
  if (share < 0.001) return "<0.1%";
  if (share < 0.1) return `${(share * 100).toFixed(1)}%`;
  return `${Math.round(share * 100)}%`;
}
