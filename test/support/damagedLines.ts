import * as FastCheck from "effect/FastCheck"

/** A text in which up to `most` lines were added, replaced or moved, and which may have lost its end. */
export const damagedLines = (
  text: FastCheck.Arbitrary<string>,
  oddLine: FastCheck.Arbitrary<string>,
  most: number
): FastCheck.Arbitrary<string> =>
  FastCheck.tuple(
    text,
    FastCheck.array(FastCheck.tuple(FastCheck.nat(), FastCheck.nat(2), oddLine), { maxLength: most }),
    FastCheck.boolean()
  ).map(([original, changes, isCut]) => {
    const lines = original.split("\n")
    for (const [at, kind, line] of changes) {
      const index = at % lines.length
      if (kind === 0) lines.splice(index, 1, line)
      else if (kind === 1) lines.splice(index, 0, line)
      else lines.splice(at % 7, 0, ...lines.splice(index, 1))
    }
    return isCut ? lines.join("\n").trimEnd() : lines.join("\n")
  })
