/** What more worker threads bring, and cost. */
import * as FS from "node:fs"
import { backyTool } from "./backyTool.ts"
import { noise } from "./machine.ts"
import * as Markdown from "./markdown.ts"
import { measure, type Measured, settle, warm } from "./measure.ts"
import * as MixedImage from "./mixedImage.ts"
import { type Part, say } from "./part.ts"
import { median } from "./statistics.ts"

const COUNTS = [1, 2, 3, 4]
const steps = ["first backup", "unchanged", "verify", "restore to a file"] as const

export const workers: Part = async ({ folder, machine, runs, seed, size }) => {
  const blocks = Math.max(1, Math.round(size / MixedImage.BLOCK))
  const image = `${folder}/image`
  say("generating")
  MixedImage.make(image, blocks, seed)
  const taken = new Map<string, Array<Measured>>()
  for (let run = 0; run < runs; run++) {
    for (const count of COUNTS) {
      const base = `${folder}/${count}`
      FS.mkdirSync(base)
      const tool = backyTool(base, image)
      tool.begin()
      const commands = [tool.backup(1), tool.backup(2), tool.verify(), tool.restore(base).command]
      for (const [at, step] of steps.entries()) {
        settle()
        warm([image, tool.repository])
        const command = { ...commands[at]!, env: { BACKY_WORKERS: String(count) } }
        const measured = await measure(command)
        say(`${step}, ${count} workers: ${Markdown.seconds(measured.seconds)}`)
        taken.set(`${step} ${count}`, [...taken.get(`${step} ${count}`) ?? [], measured])
      }
      FS.rmSync(base, { recursive: true })
    }
  }
  const rows = steps.map((step) => ({
    step,
    counts: COUNTS.map((count) => {
      const all = taken.get(`${step} ${count}`) ?? []
      return {
        count,
        seconds: median(all.map(({ seconds }) => seconds)),
        cpu: median(all.map(({ cpu }) => cpu ?? NaN)),
        memory: median(all.map(({ memory }) => memory ?? NaN))
      }
    })
  }))
  const bytes = blocks * MixedImage.BLOCK
  return {
    title: `Worker threads: ${Markdown.bytes(bytes)}, medians of ${runs} runs`,
    markdown: [
      Markdown.table(
        ["", ...COUNTS.map((count) => `${count} worker${count === 1 ? "" : "s"}`)],
        rows.map(({ counts, step }) => [
          step,
          ...counts.map(({ cpu, memory, seconds }) =>
            `${Markdown.count(bytes / seconds / 1e6)} MB/s, ${Markdown.seconds(cpu)} CPU, ${Markdown.bytes(memory)}`
          )
        ])
      ),
      noise(machine, [...taken.values()].flat().map(({ foreign }) => foreign))
    ].join("\n\n"),
    data: rows
  }
}
