/** Revisions' metadata for scripts: the keys of their `.rev` files, and with JSON what follows from them. */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Coverage from "../domain/Coverage.ts"
import { encodeYaml, type Revision } from "../domain/Revision.ts"
import * as Timestamp from "../domain/Timestamp.ts"
import * as Yaml from "../domain/Yaml.ts"
import { Repository } from "../repository/Repository.ts"

/** A revision as its file has it. What we wrote ourselves can be read. */
const onDisk = (revision: Revision): unknown =>
  Either.getOrThrow(Yaml.parse(encodeYaml(revision), { timestamps: true })).value

/** A YAML list, as the ancestor's callbacks read it: an empty line ends it. */
export const toYaml = (revisions: ReadonlyArray<Revision>): string => Yaml.stringify(revisions.map(onDisk))

/**
 * The list that `status --json` prints. Instants are ISO 8601 in UTC. Computed: the `path` of the map or image, the
 * `age` in seconds, and since when all of the image has been compared with its source, if it has.
 */
export const toJson = Effect.fnUntraced(function*(revisions: ReadonlyArray<Revision>) {
  const { chunkSize, directory } = yield* Repository
  const now = DateTime.toEpochMillis(yield* DateTime.now)
  return revisions.map((revision) => ({
    // the file holds keys and values
    ...withIsoInstants(onDisk(revision)) as object,
    fully_compared: isoOf(Coverage.fullySince(Coverage.of(revision, chunkSize))),
    path: `${directory}/${revision.id}`,
    age: Math.floor((now - DateTime.toEpochMillis(revision.timestamp)) / 1000)
  }))
})

const isoOf = (instant: DateTime.Utc | undefined): string | null =>
  instant === undefined ? null : DateTime.formatIso(instant)

const withIsoInstants = (value: unknown): unknown => {
  if (value instanceof Timestamp.Timestamp) return value.text.replace(" ", "T").replace("+00:00", "Z")
  if (Array.isArray(value)) return value.map(withIsoInstants)
  if (typeof value !== "object" || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, withIsoInstants(inner)]))
}
