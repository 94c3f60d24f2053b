/**
 * Power loss at every point of an operation: which points there are, which states each may leave, and which of those
 * differ for backy.
 */
import type * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Simulation from "../../src/library/Simulation.ts"
import * as Choices from "../../src/platform/MemoryChoices.ts"
import type { MemoryDisk } from "../../src/platform/MemoryDisk.ts"
import type { Machine, Services } from "./Machine.ts"

/** A moment between two calls of the disk, with the disk as it was then. */
export interface Point {
  /** Number of the call that did not happen any more; one more than the last for the end. */
  readonly n: number
  /** That call, for people. */
  readonly before: string
  readonly disk: MemoryDisk
  /** How many states a power loss may leave here, at least (some answers lead to further questions). */
  readonly size: number
}

/** A state that a power loss may leave. */
export interface Survivor {
  readonly point: Point
  /** Which of the point's states it is. */
  readonly number: number
  readonly disk: MemoryDisk
  /** Equal for states that are the same to backy. */
  readonly key: string
}

/** Calls that change nothing, neither what is seen nor what is durable. */
const LOOKING = new Set(["close", "dropCache", "list", "lstat", "nextData", "read", "readLink", "stat"])

/** How many ways a power loss has here. */
const sizeOf = (disk: MemoryDisk): number => {
  let size = 1
  disk.crash((options) => {
    size *= options
    return 1
  })
  return size
}

/**
 * Runs an operation once, to its end, and gives every point at which the disk differs from the point before. That a
 * power loss stops everything at once is the same as looking at the disk at that moment.
 */
export const pointsOf = <A, E>(
  machine: Machine,
  memory: MemoryDisk,
  operation: Effect.Effect<A, E, Services>,
  options: Simulation.Options
): { readonly points: ReadonlyArray<Point>; readonly exit: Exit.Exit<A, E>; readonly after: MemoryDisk } => {
  const points: Array<Point> = []
  const running = memory.clone()
  let last = ""
  let seen = ""
  const look = (n: number, before: string): void => {
    if (LOOKING.has(last)) return
    if (last === "open") {
      // most open what is there
      const now = running.describe().join("\n")
      if (now === seen) return
    }
    seen = running.describe().join("\n")
    const disk = running.clone()
    points.push({ n, before, disk, size: sizeOf(disk) })
  }
  running.onOperation = (n, name, path) => {
    look(n, `${name} ${path}`)
    last = name
  }
  const exit = machine.run(running, operation, options)
  running.onOperation = undefined
  look(running.operations + 1, "the end")
  return { points, exit, after: running }
}

/** The largest number of states a point for which all points together have no more than `total`, about. */
export const fairLimit = (points: ReadonlyArray<Point>, total: number): number => {
  const sizes = points.map(({ size }) => size).sort((a, b) => a - b)
  let left = total
  for (const [index, size] of sizes.entries()) {
    const share = left / (sizes.length - index)
    if (size >= share) return Math.ceil(share)
    left -= size
  }
  return sizes.at(-1) ?? 1
}

/**
 * What backy can see: everything, but neither the unique part of a temporary name nor the content of files that it
 * never reads (temporary ones, halves of restored images, texts in lock files).
 */
export const keyOf = (disk: MemoryDisk): string =>
  disk.describe().map((line) =>
    line.replace(/\.[0-9a-z]{12}\.tmp file .*$/, ".tmp").replace(
      /(\.backy-[0-9a-f]{8}-|\/\.backup|\/\.purge)(?:[0-9a-z]{12})? file .*$/,
      "$1"
    )
  ).sort().join("\n")

/** The states that a power loss may leave at a point: all of them if there are no more than `limit`, else a sample. */
export function* survivorsOf(point: Point, limit: number): Generator<Survivor, boolean> {
  const states = Choices.someChoices((choose) => point.disk.crash(choose), { limit, seed: point.n * 1_000_003 })
  for (let number = 0;; number++) {
    const next = states.next()
    if (next.done === true) return next.value
    yield { point, number, disk: next.value, key: keyOf(next.value) }
  }
}
