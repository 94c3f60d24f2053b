/**
 * What must hold of the cluster and of Consul after anything that may happen to a machine that backs an image of it up.
 * A disk without a cluster has nothing to answer for.
 */
import type { MemoryDisk } from "../../src/platform/MemoryDisk.ts"
import * as Site from "./Site.ts"
import { IMAGE, VM } from "./Surroundings.ts"
import { newestTrusted, type Survey, take } from "./Survey.ts"
import { REPOSITORY } from "./World.ts"

/** `pool/image@snapshot` of everything in the cluster. */
export const snapshotsIn = (memory: MemoryDisk): ReadonlyArray<string> => {
  if (!Site.isSite(memory)) return []
  const { ceph } = memory.outside
  return ceph.imageNames().flatMap((image) => ceph.snapshotNames(image).map((name) => `${image}@${name}`))
}

/** The lines of the file in which a repository notes its snapshots, without the digest. */
const notesIn = (memory: MemoryDisk): ReadonlyArray<string> =>
  memory.disk.list(REPOSITORY).includes("snapshots")
    ? new TextDecoder().decode(memory.bytesAt(`${REPOSITORY}/snapshots`)).split("\n")
      .filter((line) => line !== "" && !line.startsWith("digest "))
    : []

const snapshotOf = (id: string): string => `${IMAGE}@backy-${id}`

/** What strangers have must be there, whatever happened. */
const missing = ({ outside: { keys, strangers } }: Site.Site, there: ReadonlySet<string>): ReadonlyArray<string> =>
  Array.from(strangers).flatMap((one) => there.has(one) || keys.has(one) ? [] : [`${one} of a stranger is gone`])

/** What is wrong at any time, also in the middle of a backup. */
export const violations = (memory: MemoryDisk, known: {
  readonly before: Survey
  readonly snapshots: ReadonlySet<string>
  readonly keepsNone: boolean
}): ReadonlyArray<string> => {
  if (!Site.isSite(memory)) return []
  const { strangers } = memory.outside
  const there = new Set(snapshotsIn(memory))
  const found = [...missing(memory, there)]
  const after = take(memory)
  const notes = new Set(notesIn(memory))
  const ofRevisions = new Set([...after.complete.keys(), ...after.incomplete].map(snapshotOf))
  for (const one of there) {
    if (!strangers.has(one) && !notes.has(one) && !ofRevisions.has(one)) {
      found.push(`${one} is neither noted nor of a revision: nobody will ever remove it`)
    }
  }
  const newest = newestTrusted(after)?.revision.id
  if (newest === undefined || known.keepsNone) return found
  // the base may be given up for the newest one, not before that one is there with its own
  const older = known.before.complete.has(newest) ? newest : newestTrusted(known.before)?.revision.id
  const base = older === undefined ? undefined : snapshotOf(older)
  if (base !== undefined && known.snapshots.has(base) && !there.has(base) && !there.has(snapshotOf(newest))) {
    found.push(`the snapshot of ${older}, the next base, is gone`)
  }
  return found
}

/** What is wrong after a backup that succeeded: only the snapshot of its revision is of use, if it was to be kept. */
export const leftovers = (memory: MemoryDisk, revision: string | undefined): ReadonlyArray<string> => {
  if (!Site.isSite(memory)) return []
  const { ceph, keys, strangers } = memory.outside
  const there = new Set(snapshotsIn(memory))
  const wanted = revision === undefined ? [] : [snapshotOf(revision)]
  const found = [...missing(memory, there)]
  for (const one of there) if (!strangers.has(one) && !wanted.includes(one)) found.push(`snapshot ${one} is left`)
  for (const one of wanted) if (!there.has(one)) found.push(`snapshot ${one} is missing`)
  const notes = [...notesIn(memory)].sort()
  if (notes.join() !== wanted.join()) found.push(`noted is ${notes.join(", ")} instead of ${wanted.join(", ")}`)
  for (const [key, value] of keys) {
    if (!strangers.has(key) && value.includes(VM)) found.push(`request ${key} is left: ${value}`)
  }
  for (const name of ceph.imageNames()) if (name.includes("/.backy-")) found.push(`image ${name} is left`)
  return found
}
