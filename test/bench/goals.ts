/** What was set out to be reached, and whether it is. */
import * as Markdown from "./markdown.ts"
import type { Operation } from "./tool.ts"
import { titles } from "./tool.ts"

/** Medians by what was measured; `undefined` where it was not. */
export interface Medians {
  readonly seconds: (operation: Operation, name: string) => number | undefined
  /** Processor time; says more than the clock on a machine that has other things to do. */
  readonly cpu: (operation: Operation, name: string) => number | undefined
  readonly phase: (operation: Operation, phase: string) => number | undefined
  /** The most memory that backy took in any operation. */
  readonly memory: number | undefined
  readonly stored: (name: string) => number | undefined
  readonly peers: ReadonlyArray<string>
}

export interface Goal {
  readonly what: string
  readonly goal: string
  readonly reached: string
  /** The same by processor time, which counts all threads. */
  readonly byProcessor?: string
  readonly met: boolean
}

/** At most so many times what the best of the others takes. */
const againstPeers: ReadonlyArray<readonly [Operation, number]> = [
  ["first", 0.7],
  ["unchanged", 1],
  ["touched", 1],
  ["restore", 0.45],
  ["durable", 0.45],
  ["stdout", 0.8],
  ["verify", 0.4]
]

/** At least such a share of the speed of a limit; of a phase where one is named. */
const againstLimits: ReadonlyArray<readonly [Operation, string | undefined, string, number]> = [
  ["first", "reading", "`zstd -1 -T2`", 0.8],
  ["unchanged", "reading", "`b3sum`, one thread", 0.9],
  ["verify", undefined, "`zstd -d`", 0.8],
  ["restore", undefined, "`zstd -d --sparse`", 0.7],
  ["durable", undefined, "`zstd -d --sparse`", 0.7]
]

const MAX_MEMORY = 250 * 1024 ** 2
const MAX_HELP = 0.12

const best = (
  peers: ReadonlyArray<string>,
  value: (name: string) => number | undefined
): readonly [string, number] | undefined =>
  peers.flatMap((name) => {
    const found = value(name)
    return found === undefined ? [] : [[name, found] as const]
  }).toSorted(([, a], [, b]) => a - b)[0]

const times = (ours: number | undefined, theirs: number | undefined): string =>
  ours === undefined || theirs === undefined ? "" : `${Markdown.ratio(ours / theirs)} ×`

/** All goals for which there are figures. */
export const judge = (medians: Medians): ReadonlyArray<Goal> => {
  const goals: Array<Goal> = []
  for (const [operation, limit] of againstPeers) {
    const ours = medians.seconds(operation, "backy")
    const peer = best(medians.peers, (name) => medians.seconds(operation, name))
    if (ours === undefined || peer === undefined) continue
    goals.push({
      what: titles[operation],
      goal: `≤ ${Markdown.ratio(limit)} × the best of the others (${peer[0]}, ${Markdown.seconds(peer[1])})`,
      reached: `${Markdown.ratio(ours / peer[1])} × (${Markdown.seconds(ours)})`,
      byProcessor: times(medians.cpu(operation, "backy"), medians.cpu(operation, peer[0])),
      met: ours <= limit * peer[1]
    })
  }
  const stored = medians.stored("backy")
  const smallest = best(medians.peers, medians.stored)
  if (stored !== undefined && smallest !== undefined) {
    goals.push({
      what: "size of the repository after the first backup",
      goal: `≤ 1.00 × the smallest of the others (${smallest[0]}, ${Markdown.bytes(smallest[1])})`,
      reached: `${Markdown.ratio(stored / smallest[1])} × (${Markdown.bytes(stored)})`,
      met: stored <= smallest[1]
    })
  }
  if (medians.memory !== undefined) {
    goals.push({
      what: "peak memory",
      goal: `≤ ${Markdown.bytes(MAX_MEMORY)}`,
      reached: Markdown.bytes(medians.memory),
      met: medians.memory <= MAX_MEMORY
    })
  }
  const help = medians.seconds("help", "backy")
  if (help !== undefined) {
    goals.push({
      what: "`backy --help`",
      goal: `≤ ${Markdown.seconds(MAX_HELP)}`,
      reached: Markdown.seconds(help),
      met: help <= MAX_HELP
    })
  }
  for (const [operation, phase, limit, share] of againstLimits) {
    const ours = phase === undefined ? medians.seconds(operation, "backy") : medians.phase(operation, phase)
    const theirs = medians.seconds(operation, limit)
    if (ours === undefined || theirs === undefined) continue
    goals.push({
      what: `speed of ${titles[operation]}${phase === undefined ? "" : `, before the comparison`}`,
      goal: `≥ ${Markdown.percent(share)} of ${limit} (${Markdown.seconds(theirs)})`,
      reached: `${Markdown.percent(theirs / ours)} (${Markdown.seconds(ours)})`,
      met: theirs / ours >= share
    })
  }
  return goals
}

/** The goals as a table. */
export const render = (goals: ReadonlyArray<Goal>): string =>
  Markdown.table(
    ["", "goal", "reached", "", "by processor time"],
    goals.map(({ byProcessor = "", goal, met, reached, what }) => [
      what,
      goal,
      reached,
      met ? "met" : "**missed**",
      byProcessor
    ]),
    ["goal", "reached", ""]
  )
