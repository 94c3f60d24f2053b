/** What becomes of a backup that found its chunks damaged, or its source different from what was stored. */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import { counted } from "../domain/counted.ts"
import type { RevisionId } from "../domain/RevisionId.ts"
import * as Quarantine from "../repository/Quarantine.ts"
import { Source } from "../source/Source.ts"
import type * as Protocol from "../store/BlockProtocol.ts"

/** What is stored does not equal the source. No revision was made. */
export class VerificationFailed extends Data.TaggedError("VerificationFailed")<{
  readonly source: string
  readonly differences: number
  /** Byte offset of the first differing block. */
  readonly first: number
  readonly report: string | undefined
}> {
  override get message() {
    const evidence = this.report === undefined ? "" : `; evidence is in report ${this.report} (backy reports show)`
    return `the backup was not kept: ${counted(this.differences, "block")} of ${this.source} ` +
      `${
        this.differences === 1 ? "differs" : "differ"
      } from what was stored, the first at byte ${this.first}${evidence}`
  }
}

/** Leaves a report of chunks that were written anew, with what was found in their place. */
export const reportHealed = (id: RevisionId, healed: ReadonlyArray<Protocol.Healed>) =>
  healed.length === 0 ? Effect.void : Effect.zipRight(
    Effect.logWarning(`${healed.length} stored chunks were damaged and have been stored again from the source`),
    Quarantine.record({
      kind: "damaged",
      revision: id,
      findings: healed.map((chunk) => ({
        chunk: chunk.id,
        why: chunk.why,
        contents: chunk.raw === undefined ? [] : [chunk.raw]
      }))
    })
  )

/** Puts the evidence in quarantine and fails with `VerificationFailed`. */
export const refuse = Effect.fnUntraced(function*(
  id: RevisionId,
  chunkSize: number,
  differences: ReadonlyArray<Protocol.Difference>
) {
  const { name } = yield* Source
  const sorted = [...differences].sort((a, b) => a.index - b.index)
  const report = yield* Quarantine.record({
    kind: "source-mismatch",
    revision: id,
    findings: sorted.map((difference) => ({
      offset: difference.index * chunkSize,
      why: difference.why,
      sourceHash: difference.sourceHash,
      storedHash: difference.storedHash,
      contents: [difference.source, difference.stored].filter((bytes) => bytes !== undefined)
    }))
  })
  return yield* new VerificationFailed({
    source: name,
    differences: sorted.length,
    first: (sorted[0]?.index ?? 0) * chunkSize,
    report: report._tag === "Some" ? report.value : undefined
  })
})
