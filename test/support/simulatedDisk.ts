/**
 * Looks at simulated disks: short ways to fill one and to say what is on it.
 */
import type { Disk } from "../../src/platform/Disk.ts"
import { everyChoice } from "../../src/platform/MemoryChoices.ts"
import * as MemoryDisk from "../../src/platform/MemoryDisk.ts"

/** A file's content. */
export const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
/** A content as text, with `0` for zero bytes. */
export const text = (content: Uint8Array): string => new TextDecoder().decode(content).replaceAll("\0", "0")

/** Writes a file; durable in itself, or its name, only as told. */
export const write = (disk: Disk, path: string, content: string, sync: boolean): void => {
  const descriptor = disk.open(path, { access: "write", create: "if-missing", truncate: true })
  disk.write(descriptor, bytes(content), 0)
  if (sync) disk.sync(descriptor)
  disk.close(descriptor)
}

/** Makes the names in a directory durable. */
export const syncDirectory = (disk: Disk, path: string): void => {
  const descriptor = disk.open(path, { access: "read" })
  disk.sync(descriptor)
  disk.close(descriptor)
}

/** All files, as `path=content`. */
export const shown = (memory: MemoryDisk.MemoryDisk, path = ""): ReadonlyArray<string> =>
  Array.from(memory.disk.list(`${path}/`)).sort().flatMap((name) => {
    const at = `${path}/${name}`
    return memory.disk.lstat(at).kind === "directory"
      ? [`${at}/`, ...shown(memory, at)]
      : [`${at}=${text(memory.bytesAt(at))}`]
  })

/** All states that a power loss may leave, each once, sorted. */
export const states = (memory: MemoryDisk.MemoryDisk): ReadonlyArray<string> => {
  const all = new Set<string>()
  for (const survivor of everyChoice((choose) => memory.crash(choose), 100_000)) all.add(shown(survivor).join(" "))
  return Array.from(all).sort()
}

/** A disk with one file, `/f`, whose content is `old!`. */
export const fresh = (): MemoryDisk.MemoryDisk => {
  const memory = MemoryDisk.make()
  memory.plantFile("/f", bytes("old!"))
  return memory
}
