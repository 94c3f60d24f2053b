/** What was set out to be reached for RBD images, and whether it is. */
import type { Goal } from "./goals.ts"
import * as Markdown from "./markdown.ts"

/** Of one program, medians: of a backup of everything, and of an increment of nothing. */
export interface CephMedians {
  /** Seconds in which everything was read and stored. */
  readonly reading: number
  /** The most memory that a process took for everything. */
  readonly memory: number
  /** Seconds, and processor time with that of all programs that were started. */
  readonly nothing: { readonly seconds: number; readonly cpu: number }
  readonly programs: number
}

const MAX_PROGRAMS = 7
const MAX_MEMORY = 250 * 1024 ** 2
const MAX_SHARE = 0.6
const LEAST_SPEED = 0.9

/** `piped`: seconds of the export of everything into zstd; `beside`: the same of another build in the same runs. */
export const judgeCeph = (
  ours: CephMedians,
  piped: number,
  beside: CephMedians | undefined
): ReadonlyArray<Goal> => {
  const than = (value: string) => beside === undefined ? "" : ` (beside: ${value})`
  const share = (what: string, own: number, other: number): Goal => ({
    what: `an increment of nothing, ${what}`,
    goal: `≤ ${Markdown.ratio(MAX_SHARE)} × of the build beside (${Markdown.seconds(other)})`,
    reached: `${Markdown.ratio(own / other)} × (${Markdown.seconds(own)})`,
    met: own <= MAX_SHARE * other
  })
  return [
    {
      what: "programs that an increment of nothing starts",
      goal: `≤ ${MAX_PROGRAMS}`,
      reached: `${ours.programs}${than(`${beside?.programs}`)}`,
      met: ours.programs <= MAX_PROGRAMS
    },
    ...beside === undefined ? [] : [
      share("time", ours.nothing.seconds, beside.nothing.seconds),
      share("processor time, with all programs", ours.nothing.cpu, beside.nothing.cpu)
    ],
    {
      what: "peak memory for everything",
      goal: `≤ ${Markdown.bytes(MAX_MEMORY)}`,
      reached: `${Markdown.bytes(ours.memory)}${than(Markdown.bytes(beside?.memory))}`,
      met: ours.memory <= MAX_MEMORY
    },
    {
      what: "speed of everything, before the comparison",
      goal: `≥ ${Markdown.percent(LEAST_SPEED)} of \`rbd export-diff | zstd -1 -T2 > file\` (${
        Markdown.seconds(piped)
      })`,
      reached: `${Markdown.percent(piped / ours.reading)} (${Markdown.seconds(ours.reading)})` +
        than(beside === undefined ? "" : Markdown.percent(piped / beside.reading)),
      met: piped / ours.reading >= LEAST_SPEED
    }
  ]
}
