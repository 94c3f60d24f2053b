/** What the figures were measured on, and whether it had other things to do. */
import * as FS from "node:fs"
import { availableParallelism, cpus, loadavg, release, totalmem } from "node:os"
import * as Markdown from "./markdown.ts"
import { run } from "./measure.ts"

/** Above this share of the processors used by others, or this spread between runs, a figure is doubtful. */
const NOISE = 0.1
export const SPREAD = 0.15

export interface Machine {
  readonly processors: number
  readonly model: string
  readonly memory: number
  readonly kernel: string
  readonly node: string
  readonly fileSystem: string
  /** Load of the last minute when the run began. */
  readonly load: number
}

/** The machine now; `directory` is where the data will lie. */
export const describe = (directory: string): Machine => ({
  processors: availableParallelism(),
  model: cpus()[0]?.model.trim() ?? "unknown",
  memory: totalmem(),
  kernel: release().replace(/-.*/, ""),
  node: process.version,
  fileSystem: run({ argv: ["stat", "-f", "-c", "%T", directory] }).trim(),
  load: loadavg()[0] ?? 0
})

/** As the first lines of a report. */
export const render = (machine: Machine): string =>
  `${machine.processors} processors (${machine.model}), ${Markdown.bytes(machine.memory)} of memory, Linux ` +
  `${machine.kernel}, Node ${machine.node}, ${machine.fileSystem}. Load before: ${Markdown.ratio(machine.load)}.`

/** A sentence about what others did while something was measured. */
export const noise = (machine: Machine, foreign: ReadonlyArray<number>): string => {
  const mean = foreign.reduce((sum, one) => sum + one, 0) / Math.max(1, foreign.length)
  const most = Math.max(0, ...foreign)
  const verdict = mean > NOISE || machine.load > machine.processors / 2
    ? "**The machine was noisy**; figures may be too high"
    : "The machine was quiet"
  return `${verdict}: others used ${Markdown.percent(mean)} of the processors on average while something was ` +
    `measured, ${Markdown.percent(most)} at most.`
}

/** The pages of a file that are in the page cache, as bytes; `undefined` without `fincore` (util-linux). */
export const cached = (paths: ReadonlyArray<string>): number | undefined => {
  if (paths.length === 0 || !FS.existsSync("/usr/bin/fincore")) return undefined
  let total = 0
  for (let at = 0; at < paths.length; at += 500) {
    total += run({ argv: ["fincore", "-nb", "-o", "RES", ...paths.slice(at, at + 500)] })
      .split("\n").reduce((sum, line) => sum + Number(line), 0)
  }
  return total
}
