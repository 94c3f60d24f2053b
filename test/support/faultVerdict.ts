/** What must hold after an operation in which calls have failed. */
import { assert } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import type { MemoryDisk } from "../../src/platform/MemoryDisk.ts"
import { damage, type Known } from "./aftermath.ts"
import type * as Scenarios from "./scenarios.ts"
import * as Survey from "./Survey.ts"

/** What is wrong with the way in which an operation ended, whatever it did. */
export const atEnd = (exit: Exit.Exit<unknown, unknown>, disk: MemoryDisk): ReadonlyArray<string> => {
  const found: Array<string> = []
  if (disk.openDescriptors.length > 0) found.push(`left open: ${disk.openDescriptors.join(" ")}`)
  if (Exit.isSuccess(exit)) return found
  if (Cause.isDie(exit.cause)) found.push(`it dies instead of failing: ${Cause.pretty(exit.cause)}`)
  for (const error of Cause.failures(exit.cause)) {
    const message = error instanceof Error ? error.message : ""
    if (message === "" || message.includes("\n")) found.push(`no sentence: ${JSON.stringify(message)}`)
  }
  return found
}

/** What is wrong with what an operation left behind. */
export const verdict = (
  scenario: Scenarios.Scenario,
  known: Known,
  exit: Exit.Exit<unknown, unknown>,
  disk: MemoryDisk
): ReadonlyArray<string> => {
  const medium = disk.crash(() => 0)
  const found = [
    ...damage(scenario, known, disk),
    ...damage(scenario, known, medium).map((what) => `after a power loss: ${what}`)
  ]
  if (Exit.isSuccess(exit)) {
    found.push(...scenario.promises?.(medium, known.image, known.before).map((what) => `on the medium: ${what}`) ?? [])
    found.push(...unlike(Survey.take(disk), Survey.take(medium)))
  }
  if (scenario.distrusts !== true) found.push(...distrustedWhole(known.before, Survey.take(disk)))
  return found
}

/** Revisions that are not on the medium as they are shown. */
const unlike = (shown: Survey.Survey, medium: Survey.Survey): ReadonlyArray<string> =>
  Array.from(new Set([...shown.complete.keys(), ...medium.complete.keys()])).flatMap((id) => {
    const [a, b] = [shown.complete.get(id)?.revision, medium.complete.get(id)?.revision]
    return a?.trust === b?.trust && a?.tags.join() === b?.tags.join()
      ? []
      : [`it succeeded, but revision ${id} is not so on the medium`]
  })

/** T25: an error of reading proves nothing. */
const distrustedWhole = (before: Survey.Survey, after: Survey.Survey): ReadonlyArray<string> =>
  Array.from(before.complete.values()).flatMap((was) => {
    const is = after.complete.get(was.revision.id)
    return Survey.isWhole(was) && was.revision.isTrusted && is !== undefined && !is.revision.isTrusted
      ? [`I11: revision ${was.revision.id} is whole and lost its trust`]
      : []
  })

/** Fails a test with everything that is wrong after a fault, and how to see it again. */
export const complain = (
  what: string,
  exit: Exit.Exit<unknown, unknown>,
  found: ReadonlyArray<string>,
  again: string
): never =>
  assert.fail([
    `${what}:`,
    ...found.map((line) => `  ${line}`),
    `it ended with ${Exit.isSuccess(exit) ? "success" : Cause.pretty(exit.cause)}`,
    "replay it with",
    `  ${again}`
  ].join("\n"))
