/**
 * Power loss before calls of the disk and of the cluster, in every operation on a repository whose image lies in Ceph.
 * The cluster loses nothing.
 *
 * `BACKY_CRASH_STATES` says how many states to explore, at every point; without it some points are looked at, and
 * `BACKY_SEED` says which.
 */
import { env } from "node:process"
import type { Point } from "../support/crashes.ts"
import { crashSuite } from "../support/crashSuite.ts"
import { rbdScenarios } from "../support/rbdScenarios.ts"
import { sampled } from "../support/sampled.ts"

const STATES = env["BACKY_CRASH_STATES"]
const SEED = Number(env["BACKY_SEED"] ?? 1)
/** Points of one operation, and of what follows each of them. */
const [POINTS, NEXT] = [4, 1]

const some = (wanted: number) => (points: ReadonlyArray<Point>): ReadonlyArray<Point> =>
  sampled(points.length, wanted, SEED).flatMap((index) => points[index] ?? [])

crashSuite({
  file: "rbdCrash.test.ts",
  scenarios: rbdScenarios,
  states: Number(STATES ?? 2000),
  ...STATES === undefined
    ? {
      some: some(POINTS),
      someNext: some(NEXT),
      said: ` (${POINTS} points of each and ${NEXT} of what follows each, chosen by BACKY_SEED=${SEED})`
    }
    : {}
})
