/** Revisions as backy 2.5 writes them, on a simulated disk. */
import type { Disk } from "../../src/platform/Disk.ts"
import { legacyImage } from "./lzoEncoder.ts"
import { REPOSITORY, setFile } from "./World.ts"

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)

/** Puts chunk files of backy 2.5, by their names, into the repository. */
export const addChunks = (disk: Disk, chunks: ReadonlyMap<string, Uint8Array>): void => {
  const makeFolder = (path: string, name: string) => {
    if (!disk.list(path).includes(name)) disk.makeDirectory(`${path}/${name}`, 0o750)
  }
  makeFolder(REPOSITORY, "chunks")
  setFile(disk, `${REPOSITORY}/chunks/store`, bytesOf("v2"))
  for (const [id, file] of chunks) {
    makeFolder(`${REPOSITORY}/chunks`, id.slice(0, 2))
    setFile(disk, `${REPOSITORY}/chunks/${id.slice(0, 2)}/${id}.chunk.lzo`, file)
  }
}

/** Puts a revision into the repository, dated 2025-03-`day`. */
const addRevision = (disk: Disk, revision: {
  readonly id: string
  readonly day: number
  readonly backend: "chunked" | "cowfile"
  readonly trust: "trusted" | "distrusted" | "verified"
  readonly content: Uint8Array
}): void => {
  const { backend, content, day, id, trust } = revision
  const text = `backend_type: ${backend}\nparent: ''\nstats: {bytes_written: 1, duration: 0.5}\ntags: [daily]\n` +
    `timestamp: 2025-03-0${day} 02:10:00+00:00\ntrust: ${trust}\nuuid: ${id}\n`
  setFile(disk, `${REPOSITORY}/${id}.rev`, bytesOf(text))
  if (backend === "cowfile") return setFile(disk, `${REPOSITORY}/${id}`, content)
  const { chunks, map } = legacyImage(content)
  setFile(disk, `${REPOSITORY}/${id}`, bytesOf(map))
  addChunks(disk, chunks)
}

/** Two revisions in chunks and an image in between, of three small blocks each: by their ids. */
export const addSmallHistory = (disk: Disk, chunkSize: number): ReadonlyMap<string, Uint8Array> => {
  const image = (byte: number) =>
    Uint8Array.from({ length: 2 * chunkSize + 100 }, (_, at) => at < chunkSize ? byte : at % 7)
  const revisions = [
    { id: "KDYVkEfuhFx5cpRJDZbZGm", day: 1, backend: "chunked", trust: "trusted", content: image(1) },
    { id: "QwA2a9XWGvjB3h5AQdR4WW", day: 2, backend: "cowfile", trust: "distrusted", content: image(2) },
    { id: "XSzQ37s2pfGU3Yog7xi3YA", day: 3, backend: "chunked", trust: "verified", content: image(1) }
  ] as const
  for (const revision of revisions) addRevision(disk, revision)
  return new Map(revisions.map(({ content, id }) => [id, content]))
}
