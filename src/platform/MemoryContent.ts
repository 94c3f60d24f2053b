/**
 * Sparse file contents that never change: every operation gives a new value and shares the pages it did not touch. So
 * a simulated disk can be copied at every step, and each of its possible states after a power loss costs little.
 */

/** Allocation unit in bytes; holes are as fine as this. */
export const PAGE = 4096
const PAGES_PER_SEGMENT = 256

/** Pages of a mebibyte; a missing one is a hole. */
type Segment = ReadonlyArray<Uint8Array | undefined>

/** A file's bytes: `size` of them, of which `pages` pages are allocated. */
export interface Content {
  readonly size: number
  readonly pages: number
  readonly segments: ReadonlyMap<number, Segment>
}

/** No bytes at all. */
export const empty: Content = { size: 0, pages: 0, segments: new Map() }

const pageAt = (content: Content, page: number): Uint8Array | undefined =>
  content.segments.get(Math.floor(page / PAGES_PER_SEGMENT))?.[page % PAGES_PER_SEGMENT]

/** A content under construction; owns the segments that it has touched. */
interface Draft {
  pages: number
  readonly segments: Map<number, Segment>
  readonly owned: Map<number, Array<Uint8Array | undefined>>
}

const draftOf = (content: Content): Draft => ({
  pages: content.pages,
  segments: new Map(content.segments),
  owned: new Map()
})

const setPage = (draft: Draft, page: number, bytes: Uint8Array | undefined): void => {
  const index = Math.floor(page / PAGES_PER_SEGMENT)
  let segment = draft.owned.get(index)
  if (segment === undefined) {
    segment = draft.segments.get(index)?.slice() ?? Array.from({ length: PAGES_PER_SEGMENT }, () => undefined)
    draft.owned.set(index, segment)
    draft.segments.set(index, segment)
  }
  const before = segment[page % PAGES_PER_SEGMENT]
  segment[page % PAGES_PER_SEGMENT] = bytes
  draft.pages += (bytes === undefined ? 0 : 1) - (before === undefined ? 0 : 1)
}

/** Bytes from `position` on into `buffer`; returns how many, 0 at the end. */
export const read = (content: Content, buffer: Uint8Array, position: number): number => {
  const count = Math.max(0, Math.min(buffer.length, content.size - position))
  for (let done = 0; done < count;) {
    const at = position + done
    const within = at % PAGE
    const length = Math.min(PAGE - within, count - done)
    const page = pageAt(content, Math.floor(at / PAGE))
    if (page === undefined) buffer.fill(0, done, done + length)
    else buffer.set(page.subarray(within, within + length), done)
    done += length
  }
  return count
}

/** Puts `bytes` at `position`. They are kept, not copied: the caller must never change them again. */
export const write = (content: Content, bytes: Uint8Array, position: number): Content => {
  if (bytes.length === 0) return content
  const draft = draftOf(content)
  for (let done = 0; done < bytes.length;) {
    const at = position + done
    const within = at % PAGE
    const length = Math.min(PAGE - within, bytes.length - done)
    const number = Math.floor(at / PAGE)
    const part = bytes.subarray(done, done + length)
    if (length === PAGE) {
      setPage(draft, number, part)
    } else {
      const page = new Uint8Array(PAGE)
      const before = pageAt(content, number)
      if (before !== undefined) page.set(before)
      page.set(part, within)
      setPage(draft, number, page)
    }
    done += length
  }
  const { pages, segments } = draft
  return { size: Math.max(content.size, position + bytes.length), pages, segments }
}

/** How many of `length` bytes can be written at `position` when only `free` more pages may be allocated. */
export const fitting = (content: Content, length: number, position: number, free: number): number => {
  let left = free
  for (let done = 0; done < length;) {
    const at = position + done
    if (pageAt(content, Math.floor(at / PAGE)) === undefined && left-- <= 0) return done
    done += Math.min(PAGE - at % PAGE, length - done)
  }
  return length
}

/** Makes a range read as zeros and gives whole pages back; the size stays. */
export const punch = (content: Content, offset: number, length: number): Content => {
  const draft = draftOf(content)
  const end = offset + length
  for (const [index, segment] of content.segments) {
    const base = index * PAGES_PER_SEGMENT
    if ((base + PAGES_PER_SEGMENT) * PAGE <= offset || base * PAGE >= end) continue
    segment.forEach((page, i) => {
      const start = (base + i) * PAGE
      if (page === undefined || start + PAGE <= offset || start >= end) return
      if (offset <= start && start + PAGE <= end) return setPage(draft, base + i, undefined)
      setPage(draft, base + i, page.slice().fill(0, Math.max(0, offset - start), Math.min(PAGE, end - start)))
    })
  }
  return { size: content.size, pages: draft.pages, segments: draft.segments }
}

/** Cuts, or extends with a hole. */
export const truncate = (content: Content, size: number): Content => {
  if (size >= content.size) return { ...content, size }
  // To the end of the last page, not only of the file: nothing old may come back when the file grows again.
  const cut = punch(content, size, content.size + PAGE - size)
  return { ...cut, size }
}

/** The next allocated extent at or behind `position`. */
export const nextData = (
  content: Content,
  position: number
): { readonly offset: number; readonly length: number } | undefined => {
  const first = Math.floor(position / PAGE)
  let page = first
  const indices = Array.from(content.segments.keys())
    .filter((index) => (index + 1) * PAGES_PER_SEGMENT > first)
    .sort((a, b) => a - b)
  for (const index of indices) {
    page = Math.max(page, index * PAGES_PER_SEGMENT)
    while (page < (index + 1) * PAGES_PER_SEGMENT && pageAt(content, page) === undefined) page++
    if (page < (index + 1) * PAGES_PER_SEGMENT) break
  }
  const offset = Math.max(position, page * PAGE)
  if (offset >= content.size || pageAt(content, page) === undefined) return undefined
  while (pageAt(content, page) !== undefined) page++
  return { offset, length: Math.min(page * PAGE, content.size) - offset }
}
