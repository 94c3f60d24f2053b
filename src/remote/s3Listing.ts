/** One page of a listing (ListObjectsV2), as S3 answers it. */
import * as Either from "effect/Either"
import { compareKeys } from "./keyOrder.ts"
import type { Listed } from "./ObjectStore.ts"
import * as Xml from "./xml.ts"

/** A page, and where the next one begins. */
export interface Page {
  readonly listed: ReadonlyArray<Listed>
  readonly next: string | undefined
}

/** Keys come encoded as in a form, since XML cannot hold all characters. */
const decodeKey = (text: string): string | undefined => {
  try {
    return decodeURIComponent(text.replaceAll("+", " "))
  } catch {
    return undefined
  }
}

/** An entity tag without its quotes; `undefined` for what cannot be sent back in a header. */
export const etagOf = (text: string | undefined): string | undefined => {
  const etag = text?.replace(/^"(.*)"$/, "$1")
  return etag !== undefined && /^[\x21\x23-\x7e]{1,256}$/.test(etag) ? etag : undefined
}

const listedOf = (element: Xml.Element): Listed | undefined => {
  const key = decodeKey(Xml.textOf(element, "Key") ?? "%")
  const size = Xml.textOf(element, "Size") ?? ""
  const etag = etagOf(Xml.textOf(element, "ETag"))
  const modified = Date.parse(Xml.textOf(element, "LastModified") ?? "")
  return key === undefined || etag === undefined || !/^\d{1,15}$/.test(size) || Number.isNaN(modified)
    ? undefined
    : { key, etag, size: Number(size), modified }
}

/**
 * Reads a page that has to go on behind `after`. What is wrong with it is a phrase: a listing that is cut off, goes in
 * circles or holds other keys must not look like a store where the rest is missing.
 */
export const decode = (text: string, prefix: string, after: string): Either.Either<Page, string> => {
  const root = Xml.parse(text)
  if (root?.name !== "ListBucketResult") return Either.left("its answer is no listing")
  const contents = root.children.filter(({ name }) => name === "Contents")
  const listed: Array<Listed> = []
  let last = after
  for (const element of contents) {
    const one = listedOf(element)
    if (one === undefined) return Either.left("its listing has an object without a key, a size, a tag or a time")
    if (!one.key.startsWith(prefix) || compareKeys(one.key, last) <= 0) {
      return Either.left("its listing is not in order")
    }
    last = one.key
    listed.push(one)
  }
  const truncated = Xml.textOf(root, "IsTruncated")
  const next = Xml.textOf(root, "NextContinuationToken")
  if (truncated === "false") return Either.right({ listed, next: undefined })
  if (truncated !== "true" || next === undefined || next === "") {
    return Either.left("its listing does not say whether it is complete")
  }
  return Either.right({ listed, next })
}
