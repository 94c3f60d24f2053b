/** What the shell's words do. Knows nothing of sockets. */
import * as Effect from "effect/Effect"
import pkg from "../../package.json" with { type: "json" }
import type { JobStatus } from "../domain/JobStatus.ts"
import { matching } from "./matching.ts"
import type { Requested } from "./Scheduler.ts"
import { jobsTable, statusTable } from "./shellTable.ts"

/** What the shell can do with the daemon. */
export interface Controls {
  readonly statuses: Effect.Effect<ReadonlyArray<JobStatus>>
  readonly request: (name: string) => Effect.Effect<Requested>
  /** Gives the reason when the new config was refused. */
  readonly reload: Effect.Effect<string | undefined>
}

/** An answer in lines; none when the session ends. */
export type Answer = ReadonlyArray<string> | "quit"

/** What is printed before the first prompt. */
export const banner: ReadonlyArray<string> = [`backy ${pkg.version}`, "Ready."]

const HELP = [
  "jobs [REGEX]  all jobs, or those whose name matches",
  "status        how many jobs do what",
  "run JOB       run a job now",
  "runall        run all jobs now",
  "reload        read the config file again",
  "help          this list",
  "quit          goodbye"
]

const jobs = (controls: Controls, pattern: string) =>
  Effect.gen(function*() {
    const all = yield* controls.statuses
    const names = new Set(yield* matching(pattern, all.map(({ job }) => job)))
    return jobsTable(all.filter(({ job }) => names.has(job)))
  }).pipe(Effect.catchAll(({ reason }) => Effect.succeed([`Cannot look for "${pattern}": ${reason}`])))

const sentences: Record<Requested, (job: string) => string> = {
  requested: (job) => `Triggered immediate run for ${job}`,
  running: (job) => `${job} is running already`,
  unknown: (job) => `Unknown job ${job}`
}

const run = (controls: Controls, name: string) =>
  Effect.map(controls.request(name), (requested) => sentences[requested](name))

/** Runs one line. */
export const execute = (controls: Controls, line: string): Effect.Effect<Answer> => {
  const [word = "", ...rest] = line.trim().split(/\s+/)
  const argument = rest.join(" ")
  switch (word) {
    case "":
      return Effect.succeed([])
    case "help":
    case "?":
      return Effect.succeed(HELP)
    case "jobs":
      return jobs(controls, argument)
    case "status":
      return Effect.map(controls.statuses, statusTable)
    case "run":
      return argument === ""
        ? Effect.succeed(["Which job? run JOB"])
        : Effect.map(run(controls, argument), (text) => [text])
    case "runall":
      return Effect.flatMap(controls.statuses, Effect.forEach(({ job }) => run(controls, job)))
    case "reload":
      return Effect.map(controls.reload, (refused) => [
        "Triggering daemon reload.",
        ...refused === undefined
          ? ["Daemon configuration reloaded."]
          : ["The new configuration is wrong, the old one stays:", ...refused.split("\n")]
      ])
    case "quit":
    case "exit":
      return Effect.succeed("quit")
    default:
      return Effect.succeed(["no such command."])
  }
}
