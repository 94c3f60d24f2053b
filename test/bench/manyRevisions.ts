/** A long history of one image: 100 and 1,000 revisions that share most of their chunks. */
import * as FS from "node:fs"
import { PROGRAM } from "./backyTool.ts"
import * as Growth from "./growth.ts"
import { measure, run, settle } from "./measure.ts"
import { type Options, say } from "./part.ts"
import * as Synthetic from "./synthetic.ts"

/** Each of an image of 10 GiB. */
const SIZE = 10 * 1024 ** 3
const DAY = 24 * 3600_000

export const manyRevisions = (
  { folder }: Options,
  trouble: (text: string) => void
): Promise<ReadonlyArray<Growth.Row>> =>
  Growth.compare(async (scale, step) => {
    const count = scale === "small" ? 100 : 1000
    const base = `${folder}/history-${scale}`
    const [image, repository] = [`${base}/image`, `${base}/repository`]
    const backy = (...words: ReadonlyArray<string>) => ({ argv: [PROGRAM, "-b", repository, ...words] })
    FS.mkdirSync(base)
    FS.writeFileSync(image, "")
    FS.truncateSync(image, SIZE)
    run(backy("init", "file", image))
    say(`${count} revisions`)
    let map = Synthetic.fullMap(SIZE, "first")
    const ids: Array<string> = []
    for (let number = 0; number < count; number++) {
      map = Synthetic.changedMap(map, number)
      const at = new Date(Date.now() - (count - number) * DAY)
      ids.push(
        Synthetic.writeRevision(repository, number, {
          map,
          at,
          tags: number % 7 === 0 ? ["daily", "weekly"] : ["daily"]
        })
      )
    }
    Synthetic.writeChunks(repository, map, base)
    settle()
    await step("`status`", () => measure(backy("status")))
    await step("`status --json`", () => measure(backy("status", "--json")))
    await step("`find -r latest`", () => measure(backy("find", "-r", "latest")))
    await step("backup of an image of holes", () => measure(backy("backup", "daily")))
    await step("`purge -n`", () => measure(backy("purge", "-n")))
    await step("`forget` of a tenth", () => measure(backy("forget", "-r", `..${ids[count / 10 - 1]}`)))
    await step("`expire -n`", () => measure(backy("expire", "-n")))
    await step("`expire`", () => measure(backy("expire")))
    await step("`purge`", () => measure(backy("purge")))
    FS.rmSync(base, { recursive: true, force: true })
  }, trouble)
