const DAY_MS = 24 * 3_600_000;

/** Bounds of everything that has to do with TLS. Bytes, milliseconds or counts. */
export const TLS_LIMITS = {
  /** One file with keys, certificates or a revocation list. */
  fileBytesMax: 1024 * 1024,
  /** How often the files are looked at. */
  reloadIntervalMs: 10_000,
  /** A certificate with less time left is warned of, … */
  expiryWarningMs: 30 * DAY_MS,
  /** … this often. */
  expiryWarningIntervalMs: DAY_MS,
  /** From accepted connection to completed TLS handshake. */
  handshakeTimeoutMs: 5000,
  /** Accepted connections whose TLS handshake is not complete; the oldest makes room. */
  handshakesMax: 64,
  /** Certificates of one chain that are looked at. */
  chainLengthMax: 16,
} as const;
