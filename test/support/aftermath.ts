/**
 * What comes after a mishap: the repository is looked at, and then the next backup and the next purge run.
 */
import * as Exit from "effect/Exit"
import { START } from "../../src/library/Simulation.ts"
import type { MemoryDisk } from "../../src/platform/MemoryDisk.ts"
import * as ClusterExpectation from "./ClusterExpectation.ts"
import * as Expectation from "./Expectation.ts"
import type { Machine } from "./Machine.ts"
import * as Scenarios from "./scenarios.ts"
import * as Survey from "./Survey.ts"

const LATER = START + 1000 * 86_400_000

/** What is known of the time before. */
export interface Known {
  /** The image at the time of the mishap and after it. */
  readonly image: Uint8Array
  readonly before: Survey.Survey
  /** The snapshots in the cluster, where there is one. */
  readonly snapshots: ReadonlySet<string>
}

/** What is known of a scenario that has been prepared. */
export const knownOf = ({ image, memory }: Scenarios.Prepared): Known => ({
  image,
  before: Survey.take(memory),
  snapshots: new Set(ClusterExpectation.snapshotsIn(memory))
})

/** Revisions that are trusted although they are not whole: nobody has looked. */
const undetectedIn = ({ complete }: Survey.Survey): ReadonlySet<string> =>
  new Set(
    Array.from(complete.values()).flatMap((one) =>
      Survey.isWhole(one) || !one.revision.isTrusted ? [] : [one.revision.id]
    )
  )

/** What the mishap itself broke. */
export const damage = (scenario: Scenarios.Scenario, known: Known, disk: MemoryDisk): ReadonlyArray<string> => [
  ...Expectation.violations({
    ...known,
    mayGo: new Set(scenario.mayGo?.(known.before)),
    undetected: undetectedIn(known.before),
    begun: 2
  }, Survey.take(disk)),
  ...ClusterExpectation.violations(disk, { ...known, keepsNone: scenario.keepsNone === true }),
  ...scenario.also?.(disk, known.image) ?? []
]

/** Everything that is wrong with what a mishap left, and with what happens next. Changes `disk`. */
export const aftermath = (
  machine: Machine,
  scenario: Scenarios.Scenario,
  known: Known,
  disk: MemoryDisk
): ReadonlyArray<string> => {
  const { image } = known
  const undetected = undetectedIn(known.before)
  const left = Survey.take(disk)
  const found = [...damage(scenario, known, disk)]

  const next = machine.run(disk, scenario.next ?? Scenarios.backup, { seed: 1_000_001, start: LATER })
  if (Exit.isFailure(next)) return [...found, `I6: the next backup fails: ${next.cause.toString()}`]
  const after = Survey.take(disk)
  const made = after.complete.get(next.value.revision.id)
  if (made === undefined || !Survey.isWhole(made)) found.push("I4: the next backup says that it succeeded, wrongly")
  found.push(
    ...Expectation.violations({ before: left, image, undetected }, after).map((what) => `next backup: ${what}`)
  )

  found.push(
    ...ClusterExpectation.leftovers(disk, scenario.keepsNone === true ? undefined : next.value.revision.id)
      .map((what) => `next backup: ${what}`)
  )

  const purged = machine.run(disk, Scenarios.purge, { seed: 1_000_002, start: LATER + 1000 })
  if (Exit.isFailure(purged)) return [...found, `I6: the next purge fails: ${purged.cause.toString()}`]
  const clean = Survey.take(disk)
  found.push(
    ...Expectation.violations({ before: after, image, undetected }, clean).map((what) => `next purge: ${what}`),
    ...Expectation.leftovers(clean),
    ...disk.openDescriptors.map((path) => `${path} was left open`)
  )
  return found
}
