/** Keys in the order of their UTF-8 bytes, as S3 lists them; JavaScript's own order is another one. */
export const compareKeys = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b))
