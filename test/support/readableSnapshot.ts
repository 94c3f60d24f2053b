import * as Effect from "effect/Effect"
import type { RevisionId } from "../../src/domain/RevisionId.ts"
import type { Source } from "../../src/source/Source.ts"

/** A snapshot of a source whose content is a path. */
export const readableSnapshot = (source: Source["Type"], revision: RevisionId) =>
  Effect.flatMap(
    source.snapshot({ revision, directory: "/srv", complete: [], broken: [], incomplete: [] }),
    (snapshot) => {
      const { content } = snapshot
      return content._tag === "Readable"
        ? Effect.succeed({ ...snapshot, content })
        : Effect.dieMessage(`${source.name} gives changes, not a path`)
    }
  )
