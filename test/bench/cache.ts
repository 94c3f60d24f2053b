/** What a backup leaves in the page cache: it must not push out what the machine's other programs need. */
import * as FS from "node:fs"
import { join } from "node:path"
import { kernel } from "../../src/platform/kernel.ts"
import { backyTool } from "./backyTool.ts"
import { cached } from "./machine.ts"
import * as Markdown from "./markdown.ts"
import { type Command, measure, settle, warm } from "./measure.ts"
import * as MixedImage from "./mixedImage.ts"
import { type Part, say } from "./part.ts"

const chunksOf = (repository: string): ReadonlyArray<string> =>
  FS.readdirSync(join(repository, "chunks"), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))

/** Takes files out of the page cache. */
const drop = (paths: ReadonlyArray<string>): void => {
  for (const path of paths) {
    const descriptor = FS.openSync(path, "r")
    kernel().dropCache(descriptor, 0, 0)
    FS.closeSync(descriptor)
  }
}

export const cache: Part = async ({ folder, seed, size }) => {
  const blocks = Math.max(1, Math.round(size / MixedImage.BLOCK))
  const [image, restored] = [`${folder}/image`, `${folder}/restored`]
  say("generating")
  MixedImage.make(image, blocks, seed)
  const tool = backyTool(folder, image)
  tool.begin()
  const rows: Array<
    { what: string; image: number | undefined; chunks: number | undefined; restored: number | undefined }
  > = []
  const note = (what: string) => {
    const chunks = FS.existsSync(join(tool.repository, "chunks")) ? chunksOf(tool.repository) : []
    rows.push({
      what,
      image: cached([image]),
      chunks: cached(chunks) ?? (chunks.length === 0 ? 0 : undefined),
      restored: FS.existsSync(restored) ? cached([restored]) : 0
    })
  }
  const step = async (what: string, command: Command) => {
    await measure(command)
    note(what)
  }
  settle()
  drop([image])
  note("nothing read yet")
  await step("first backup, the image not cached", tool.backup(1))
  drop([image])
  await step("unchanged, the image not cached", tool.backup(2))
  warm([image])
  await step("unchanged, the image cached before", tool.backup(3))
  drop([...chunksOf(tool.repository), image])
  await step("verify, nothing cached", tool.verify())
  drop([...chunksOf(tool.repository), image])
  const { command } = tool.restore(folder)
  await step("restore to a file, nothing cached", { ...command, argv: [...command.argv.slice(0, -1), restored] })
  return {
    title: `Page cache after each command: ${Markdown.bytes(blocks * MixedImage.BLOCK)}`,
    markdown: Markdown.table(
      ["", "of the image", "of the chunks", "of the restored file"],
      rows.map(({ chunks, image, restored, what }) => [what, ...[image, chunks, restored].map(Markdown.bytes)])
    ),
    data: rows
  }
}
