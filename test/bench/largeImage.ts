/** Images that are larger than any disk here: sparse files, and maps that were never backed up. */
import * as FS from "node:fs"
import { fileURLToPath } from "node:url"
import * as ChunkMap from "../../src/domain/ChunkMap.ts"
import { PROGRAM } from "./backyTool.ts"
import * as Growth from "./growth.ts"
import { measure, run, settle, sizeOf } from "./measure.ts"
import * as MixedImage from "./mixedImage.ts"
import { type Options, say } from "./part.ts"
import * as Synthetic from "./synthetic.ts"

const TIB = 1024 ** 4

/** A sparse file with some blocks of data, evenly spread. */
const sparse = (path: string, size: number, blocks: number): void => {
  const descriptor = FS.openSync(path, "w")
  const block = new Uint8Array(MixedImage.BLOCK)
  FS.ftruncateSync(descriptor, size)
  for (let at = 0; at < blocks; at++) {
    MixedImage.fill(block, "binary", `sparse ${at}`)
    const index = Math.floor(at * (size / MixedImage.BLOCK) / blocks)
    FS.writeSync(descriptor, block, 0, block.length, index * MixedImage.BLOCK)
  }
  FS.closeSync(descriptor)
}

/** 1 and 10 TiB. */
export const largeImage = (
  { folder, long }: Options,
  trouble: (text: string) => void
): Promise<ReadonlyArray<Growth.Row>> =>
  Growth.compare(async (scale, step) => {
    const size = scale === "small" ? TIB : 10 * TIB
    const base = `${folder}/${scale}`
    const [image, repository] = [`${base}/image`, `${base}/repository`]
    const backy = (...words: ReadonlyArray<string>) => ({ argv: [PROGRAM, "-b", repository, ...words] })
    FS.mkdirSync(base)
    say(`sparse image of ${size / TIB} TiB`)
    sparse(image, size, 64)
    run(backy("init", "file", image))
    await step("first backup of a sparse image with 256 MiB of data", () => measure(backy("backup", "daily")))
    await step("backup of it, unchanged", () => measure(backy("backup", "daily")))
    await step("verify it", () => measure(backy("verify", "-r", "latest")))
    await step("restore it to a file", () => measure(backy("restore", `${base}/restored`)))
    FS.rmSync(`${base}/restored`, { force: true })

    say("a map that names a chunk everywhere")
    const map = Synthetic.fullMap(size, "base")
    const other = Synthetic.changedMap(map, 1)
    const first = Synthetic.writeRevision(repository, 1, { map, at: new Date(Date.now() - 1000), tags: ["daily"] })
    const second = Synthetic.writeRevision(repository, 2, { map: other, at: new Date(), tags: ["daily"] })
    await step("load a full map, in memory", async () => {
      const script = fileURLToPath(new URL("readMap.ts", import.meta.url))
      return JSON.parse(run({ argv: [process.execPath, script, `${repository}/${first}`] }))
    })
    await step("`status`", () => measure(backy("status")))
    await step("`diff` of two full maps", () => measure(backy("diff", first, second)))
    await step("backup of the sparse image on a full base", () => measure(backy("backup", "daily")))
    if (scale === "large" && !long) return
    say(`${ChunkMap.count(map)} names of chunks`)
    Synthetic.writeChunks(repository, map, base)
    settle()
    await step("`purge -n`, a file for each chunk", () => measure(backy("purge", "-n")))
    run(backy("forget", "-f", "-r", `${first},${second}`))
    await step("`purge` of all these chunks", () => measure(backy("purge")))
  }, trouble)

/** 10 and 100 GiB of sparse image, a hundredth of it data: memory depends on neither. */
export const sparseImages = (
  { folder, long }: Options,
  trouble: (text: string) => void
): Promise<ReadonlyArray<Growth.Row>> =>
  Growth.compare(async (scale, step) => {
    const size = (scale === "small" ? 10 : 100) * 1024 ** 3
    const base = `${folder}/sparse-${scale}`
    const image = `${base}/image`
    FS.mkdirSync(base)
    say(`sparse image of ${size / 1024 ** 3} GiB`)
    sparse(image, size, size / MixedImage.BLOCK / 100)
    const backup = (name: string, env: Readonly<Record<string, string>> = {}) => async () => {
      const argv = [PROGRAM, "-b", `${base}/${name}`]
      run({ argv: [...argv, "init", "file", image] })
      const measured = await measure({ argv: [...argv, "backup", "daily"], env })
      say(`${name}: ${sizeOf(`${base}/${name}`)} bytes`)
      return measured
    }
    await step("first backup", backup("holes"))
    // every byte goes through the workers, twice
    if (long) await step("first backup where holes cannot be asked for", backup("read", { BACKY_NO_KOFFI: "1" }))
    FS.rmSync(base, { recursive: true, force: true })
  }, trouble)
