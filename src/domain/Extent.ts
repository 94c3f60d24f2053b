/**
 * Byte ranges of an image. A list is *normal* when it is sorted, its members neither touch nor overlap, and none is
 * empty; every function here returns normal lists and accepts any.
 */

/** `length` bytes from `offset` on. */
export interface Extent {
  readonly offset: number
  readonly length: number
}

/** The first byte behind the extent. */
export const end = (extent: Extent): number => extent.offset + extent.length

/** The extent from `start` up to, and without, `stop`; empty when `stop` is not behind `start`. */
export const between = (start: number, stop: number): Extent => ({ offset: start, length: Math.max(0, stop - start) })

/** The bytes of all extents together, sorted and merged. Empty extents vanish. */
export const normalise = (extents: Iterable<Extent>): ReadonlyArray<Extent> => {
  const sorted = Array.from(extents).filter((extent) => extent.length > 0).sort((a, b) => a.offset - b.offset)
  const merged: Array<Extent> = []
  for (const extent of sorted) {
    const last = merged.at(-1)
    if (last !== undefined && extent.offset <= end(last)) {
      merged[merged.length - 1] = between(last.offset, Math.max(end(last), end(extent)))
    } else {
      merged.push(between(extent.offset, end(extent)))
    }
  }
  return merged
}

/** The bytes that are in `a` or in `b`. */
export const union = (a: Iterable<Extent>, b: Iterable<Extent>): ReadonlyArray<Extent> => normalise([...a, ...b])

/** The bytes that are in `a` and in `b`. */
export const intersect = (a: Iterable<Extent>, b: Iterable<Extent>): ReadonlyArray<Extent> => {
  const left = normalise(a)
  const right = normalise(b)
  const common: Array<Extent> = []
  for (let i = 0, j = 0; i < left.length && j < right.length;) {
    const x = left[i]!
    const y = right[j]!
    const part = between(Math.max(x.offset, y.offset), Math.min(end(x), end(y)))
    if (part.length > 0) common.push(part)
    if (end(x) < end(y)) i++
    else j++
  }
  return common
}

/** The bytes that are in `a` but not in `b`. */
export const subtract = (a: Iterable<Extent>, b: Iterable<Extent>): ReadonlyArray<Extent> => {
  const holes = normalise(b)
  const left: Array<Extent> = []
  let j = 0
  for (const extent of normalise(a)) {
    let start = extent.offset
    // A hole may reach into the next extent, so it is passed only when it ends before this extent does.
    while (j < holes.length && end(holes[j]!) <= start) j++
    for (let k = j; k < holes.length && holes[k]!.offset < end(extent); k++) {
      if (holes[k]!.offset > start) left.push(between(start, holes[k]!.offset))
      start = Math.max(start, end(holes[k]!))
    }
    if (start < end(extent)) left.push(between(start, end(extent)))
  }
  return left
}

/** The part of the extents that lies within an image of `size` bytes. */
export const clip = (extents: Iterable<Extent>, size: number): ReadonlyArray<Extent> =>
  intersect(extents, [between(0, size)])

/** The extents widened to whole chunks of `chunkSize` bytes, and cut at `size` if that is given. */
export const align = (
  extents: Iterable<Extent>,
  chunkSize: number,
  size = Number.POSITIVE_INFINITY
): ReadonlyArray<Extent> => {
  const widened: Array<Extent> = []
  for (const extent of extents) {
    if (extent.length <= 0) continue
    const start = extent.offset - extent.offset % chunkSize
    const stop = Math.ceil(end(extent) / chunkSize) * chunkSize
    widened.push(between(start, Math.min(stop, size)))
  }
  return normalise(widened)
}

/** Whether every byte of `extent` is in `extents`; true of an empty one. */
export const covers = (extents: Iterable<Extent>, extent: Extent): boolean => subtract([extent], extents).length === 0

/** How many bytes the extents hold together, overlaps counted once. */
export const totalLength = (extents: Iterable<Extent>): number =>
  normalise(extents).reduce((sum, extent) => sum + extent.length, 0)

/** The indexes of all chunks that the extents touch, ascending and each once. */
export function* chunkIndexes(extents: Iterable<Extent>, chunkSize: number): Generator<number> {
  for (const extent of align(extents, chunkSize)) {
    for (let offset = extent.offset; offset < end(extent); offset += chunkSize) yield offset / chunkSize
  }
}
