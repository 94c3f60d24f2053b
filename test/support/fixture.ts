/** Repositories that backy 2.5.3 wrote (test/fixtures/backy25), put on a simulated disk. */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { createHash } from "node:crypto"
import * as FS from "node:fs"
import { fileURLToPath } from "node:url"
import type { Disk } from "../../src/platform/Disk.ts"
import * as MemoryDisk from "../../src/platform/MemoryDisk.ts"
import { restored, setFile } from "./World.ts"

const root = fileURLToPath(new URL("../fixtures/backy25/", import.meta.url))

/** The repositories by name. */
export type Name = "chunked" | "cowfile" | "quarantine"

/** What backy 2.5.3 restored each revision to. */
const expected: Record<Name, Record<string, { readonly sha256: string; readonly size: number }>> = JSON.parse(
  FS.readFileSync(`${root}SHA256SUMS.json`, "utf8")
) as never

const copy = (disk: Disk, from: string, to: string): void => {
  for (const entry of FS.readdirSync(from, { withFileTypes: true })) {
    const [source, target] = [`${from}/${entry.name}`, `${to}/${entry.name}`]
    if (entry.isDirectory()) {
      if (!disk.list(to).includes(entry.name)) disk.makeDirectory(target, 0o750)
      copy(disk, source, target)
    } else setFile(disk, target, FS.readFileSync(source))
  }
}

/** A disk with these repositories in one directory: a history of mixed kinds, as changes of `backend` leave it. */
export const makeDisk = (repository: string, ...names: ReadonlyArray<Name>): MemoryDisk.MemoryDisk => {
  const memory = MemoryDisk.make()
  const parents = repository.split("/").slice(1).map((_, at, parts) => `/${parts.slice(0, at + 1).join("/")}`)
  for (const directory of [...parents, "/images", "/restore"]) memory.disk.makeDirectory(directory, 0o750)
  for (const name of names) copy(memory.disk, `${root}${name}`, repository)
  memory.syncAll()
  return memory
}

/** Puts one file back as it was. */
export const copyFile = (disk: Disk, repository: string, name: Name, file: string): void =>
  setFile(disk, `${repository}/${file}`, FS.readFileSync(`${root}${name}/${file}`))

/** Revisions with what they must restore to. */
export const revisions = (...names: ReadonlyArray<Name>) =>
  Object.assign({}, ...names.map((name) => expected[name])) as Record<
    string,
    { readonly sha256: string; readonly size: number }
  >

export const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex")

/** For each revision whether it restores to what 2.5 restored it to, `true`, or what happened instead. */
export const restoreAll = (wanted: Record<string, { readonly sha256: string }>) =>
  Effect.map(
    Effect.forEach(Object.entries(wanted), ([id, { sha256: digest }]) =>
      Effect.map(Effect.either(restored(id)), (bytes) => [
        id,
        Either.isRight(bytes)
          ? sha256(bytes.right) === digest || `${bytes.right.length} other bytes`
          : bytes.left.message
      ])),
    (entries) =>
      Object.fromEntries(entries) as Record<string, boolean | string>
  )

/** What `restoreAll` gives when all is well. */
export const allWell = (wanted: Record<string, unknown>): Record<string, true> =>
  Object.fromEntries(Object.keys(wanted).map((id) => [id, true]))
