/** The decoder of LZO1X with its faults as errors; the loops of the worker threads use `lzoDecoder` itself. */
import * as Data from "effect/Data"
import * as Either from "effect/Either"
import * as Decoder from "./lzoDecoder.ts"

export type { LzoFault } from "./lzoDecoder.ts"

/** Bytes that are no valid python-lzo container within the caller's limit. */
export class LzoInvalid extends Data.TaggedError("LzoInvalid")<{ readonly fault: Decoder.LzoFault }> {
  override get message() {
    return `the compressed bytes ${Decoder.explanations[this.fault]}`
  }
}

/** What `lzoDecoder` decodes. Never throws, whatever the bytes. */
export const decode = (
  container: Uint8Array,
  limit: number,
  scratch?: Uint8Array
): Either.Either<Uint8Array, LzoInvalid> => {
  const content = Decoder.decode(container, limit, scratch)
  return typeof content === "string" ? Either.left(new LzoInvalid({ fault: content })) : Either.right(content)
}
