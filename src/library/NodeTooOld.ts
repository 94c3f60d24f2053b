import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Zlib from "node:zlib"

/** This Node.js lacks what backy needs: zstd in node:zlib. */
export class NodeTooOld extends Data.TaggedError("NodeTooOld")<{ readonly version: string }> {
  override get message() {
    return `backy needs Node.js 24 or newer, and this is ${this.version}`
  }
}

/** Fails unless this Node.js is new enough; by what it has, not by its number. */
export const requireNode: Effect.Effect<void, NodeTooOld> = Effect.suspend(() =>
  "zstdCompressSync" in Zlib ? Effect.void : new NodeTooOld({ version: process.version })
)
