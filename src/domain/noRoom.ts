/**
 * The line by which a backup tells the scheduler that started it that it fails for want of room: then expiry and purge
 * are what helps, and they would otherwise wait for a backup that goes well. Pure.
 */

const lines = { begun: `{"phase":"no room","begun":true}`, refused: `{"phase":"no room","begun":false}` } as const

/** What is reported. `begun`: chunks may have been written that only a purge takes away. */
export const line = (begun: boolean): string => begun ? lines.begun : lines.refused

/** What a report says of it; none when it is about something else. */
export const parse = (report: string): { readonly begun: boolean } | undefined =>
  report === lines.begun ? { begun: true } : report === lines.refused ? { begun: false } : undefined
