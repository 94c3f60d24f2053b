/**
 * Whether a file holds an image in a format of its own, such as qcow2, and not the bytes of a disk. backy stores it as
 * it is, which is worth a warning: the restored file needs the same program again, and what else it needs is not in it.
 *
 * The guest of a raw image chooses its first bytes, so this decides nothing and is never more than a warning.
 */
import * as Effect from "effect/Effect"
import type { OpenFile } from "../platform/BlockFile.ts"
import type { IoError } from "../platform/IoError.ts"

const ascii = (bytes: Uint8Array, from: number, length: number): string =>
  String.fromCharCode(...bytes.subarray(from, from + length))

/** By the first bytes, as libmagic and qemu tell them apart. */
const FORMATS: ReadonlyArray<readonly [name: string, at: number, magic: string]> = [
  ["qcow2", 0, "QFI\u00fb"],
  ["QED", 0, "QED\0"],
  ["VMDK", 0, "KDMV"],
  ["VHDX", 0, "vhdxfile"],
  ["VHD", 0, "conectix"],
  ["VDI", 64, "\u007f\u0010\u00da\u00be"]
]

/** qemu takes no longer name. */
const MAX_NAME = 1023

const backingFile = Effect.fnUntraced(function*(file: OpenFile, header: DataView) {
  const offset = Number(header.getBigUint64(8))
  const length = header.getUint32(16)
  if (offset === 0 || length === 0 || length > MAX_NAME || !Number.isSafeInteger(offset)) return undefined
  const name = new Uint8Array(length)
  return (yield* file.readAt(name, offset)) === length ? new TextDecoder().decode(name) : undefined
})

/** What a user has to know of a file that begins like an image in a format of its own; none for a raw image. */
export const warning = (file: OpenFile): Effect.Effect<string | undefined, IoError> =>
  Effect.gen(function*() {
    const bytes = new Uint8Array(72)
    yield* file.readAt(bytes, 0)
    const format = FORMATS.find(([, at, magic]) => ascii(bytes, at, magic.length) === magic)?.[0]
    if (format === undefined) return undefined
    const backing = format === "qcow2" ? yield* backingFile(file, new DataView(bytes.buffer)) : undefined
    return `${file.path} begins like a ${format} image: it is stored as the file that it is, not as the disk in it` +
      (backing === undefined ? "" : `, and its backing file ${JSON.stringify(backing)} is not part of the backup`)
  })
