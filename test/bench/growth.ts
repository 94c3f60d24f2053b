/** The same measured for a size and for ten times that size: what grows faster than its input shows. */
import * as Markdown from "./markdown.ts"
import type { Measured } from "./measure.ts"
import { say } from "./part.ts"

type Took = Pick<Measured, "seconds" | "memory"> & Partial<Pick<Measured, "cpu">>

export interface Row {
  readonly what: string
  readonly small: Took | undefined
  readonly large: Took | undefined
}

/** Quadratic is a hundred times; below this it may be caches and noise. */
const LINEAR = 20

/** How many times the processor time where it is known, and a warning where that is more than ten times the input explains. */
const growth = ({ large, small }: Row): string => {
  if (small === undefined || large === undefined) return ""
  const of = ({ cpu, seconds }: Took): number => cpu ?? seconds
  const times = of(large) / of(small)
  return `${times.toFixed(1)} ×${times > LINEAR ? " **more than linear**" : ""}`
}

const took = (one: Took | undefined): string =>
  one === undefined
    ? ""
    : `${Markdown.seconds(one.seconds)}${one.memory === undefined ? "" : `, ${Markdown.bytes(one.memory)}`}`

/** Rows with the two sizes and how the time grew. */
export const table = (small: string, large: string, rows: ReadonlyArray<Row>): string =>
  Markdown.table(
    ["", small, large, "grew"],
    rows.map((row) => [row.what, took(row.small), took(row.large), growth(row)])
  )

/** Measures the same steps for both sizes. Each step has a name; a step that fails is left empty and told of. */
export const compare = async (
  steps: (scale: "small" | "large", step: (what: string, work: () => Promise<Took>) => Promise<void>) => Promise<void>,
  trouble: (text: string) => void
): Promise<ReadonlyArray<Row>> => {
  const rows = new Map<string, { what: string; small: Took | undefined; large: Took | undefined }>()
  for (const scale of ["small", "large"] as const) {
    await steps(scale, async (what, work) => {
      const row = rows.get(what) ?? { what, small: undefined, large: undefined }
      rows.set(what, row)
      try {
        const measured = await work()
        row[scale] = measured
        say(`${what}: ${took(measured)}`)
      } catch (error) {
        trouble(`${what} (${scale}): ${error instanceof Error ? error.message : String(error)}`)
      }
    })
  }
  return [...rows.values()]
}
