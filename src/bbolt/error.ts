/** A database file that is no such file, or damaged; one line. Nothing of it should be trusted. */
export class BoltError extends Error {
  /** The page where it shows; null when it is not about one page. */
  readonly page: number | null;

  constructor(what: string, page: number | null = null) {
    super(page === null ? `bbolt: ${what}` : `bbolt: page ${page}: ${what}`);
    this.name = 'BoltError';
    this.page = page;
  }
}
