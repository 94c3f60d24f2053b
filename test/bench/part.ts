/** What all parts of the benchmark share. */
import type { Machine } from "./machine.ts"

export interface Options {
  /** Where images and repositories are made; removed afterwards. */
  readonly folder: string
  /** Bytes of the mixed image. */
  readonly size: number
  readonly runs: number
  readonly seed: number
  /** Another build of backy, to be measured in the same runs. */
  readonly beside: string | undefined
  /** Also what takes many minutes. */
  readonly long: boolean
  readonly machine: Machine
}

/** A section of the report, as Markdown and as data. */
export interface Report {
  readonly title: string
  readonly markdown: string
  readonly data: unknown
}

export type Part = (options: Options) => Promise<Report>

/** Tells who waits what is going on. */
export const say = (text: string): void => void process.stderr.write(`${text}\n`)
