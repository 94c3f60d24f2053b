/**
 * A `.rev` file: YAML that ends with its digest. What backy 2.5 wrote has none, and nothing but the keys of 2.5; anything
 * else without a digest is damage, or of an alpha of 3.0.
 */
import * as Either from "effect/Either"
import * as PlainRevision from "../domain/plainRevision.ts"
import * as Revision from "../domain/Revision.ts"
import * as Origin from "../domain/RevisionOrigin.ts"
import * as DigestLine from "../platform/digestLine.ts"
import * as Alpha from "./alphaFormat.ts"

/** A `.rev` file is a page of text; what is longer is not one. */
export const MAX_BYTES = 1024 * 1024

/** What a `.rev` file says, without the trouble of making a `Revision` of it where that is not needed. */
export type Fields = PlainRevision.PlainRevision | Revision.Revision

/** The file of a revision. */
export const encode = (revision: Revision.Revision): Uint8Array =>
  DigestLine.seal("# digest ", new TextEncoder().encode(Revision.encodeYaml(revision)))

/** Whether a file ends with a digest: one that backy 2.5 was the last to write does not. */
export const isSealed = (bytes: Uint8Array): boolean => DigestLine.open("# digest ", bytes)._tag !== "Absent"

/**
 * Reads a file. Never throws; whether the id is the one that the file is named by is for the caller to say.
 */
export const decodeFields = (bytes: Uint8Array): Either.Either<Fields, Revision.RevisionInvalid> => {
  const opened = DigestLine.open("# digest ", bytes)
  switch (opened._tag) {
    case "Wrong":
      return invalid(opened.reason)
    case "Whole":
      return Either.flatMap(textOf(opened.body), (text) => Either.flatMap(parse(text), checked))
    case "Absent":
      return Either.flatMap(textOf(bytes), unsealed)
  }
}

/** Reads a file as a revision. */
export const decode = (bytes: Uint8Array): Either.Either<Revision.Revision, Revision.RevisionInvalid> =>
  Either.map(decodeFields(bytes), (fields) => fields instanceof Revision.Revision ? fields : Revision.make(fields))

const invalid = (reason: string) => Either.left(new Revision.RevisionInvalid({ reason }))

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/** Bytes that are no text stand for nothing: replaced, they would make a tag of what was none. */
const textOf = (bytes: Uint8Array): Either.Either<string, Revision.RevisionInvalid> =>
  Either.try({
    try: () => decoder.decode(bytes),
    catch: () => new Revision.RevisionInvalid({ reason: "it is no UTF-8 text" })
  })

const parse = (text: string): Either.Either<Fields, Revision.RevisionInvalid> => {
  const plain = PlainRevision.read(text)
  return plain === undefined ? Revision.parseYaml(text) : Either.right(plain)
}

const checked = (fields: Fields): Either.Either<Fields, Revision.RevisionInvalid> => {
  const problem = Origin.contradiction(fields)
  return problem === undefined ? Either.right(fields) : invalid(problem)
}

/** A text without a digest: of backy 2.5, which ends each line and comments on none; its first versions wrote JSON. */
const unsealed = (text: string): Either.Either<Fields, Revision.RevisionInvalid> => {
  if (!(text.endsWith("\n") || text.startsWith("{")) || /^#/m.test(text)) return invalid(DigestLine.ABSENT)
  const parsed = parse(text)
  if (Either.isRight(parsed) && Origin.isAncestors(parsed.right)) return checked(parsed.right)
  const alpha = Alpha.revision(text)
  if (alpha !== undefined) return Either.left(new Revision.RevisionInvalid({ reason: Alpha.REASON, alpha }))
  return Either.isLeft(parsed) ? parsed : invalid(DigestLine.ABSENT)
}
