/**
 * The image of a VM in the Flying Circus: the VM is asked through Consul to write its buffers and to have the snapshot
 * made. When it does not answer, a plain snapshot has to do.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import { randomUUID } from "node:crypto"
import type { Consul } from "../platform/Consul.ts"
import { inOwnFiber } from "../platform/inOwnFiber.ts"
import * as Rbd from "../platform/Rbd.ts"
import * as CephRbd from "./CephRbdSource.ts"
import type { Source } from "./Source.ts"

/** What a job says of its VM. */
export interface Settings extends CephRbd.Settings {
  readonly vm: string
}

/** Where requests are put. */
const REQUESTS = "snapshot/"

/** How long to wait for a VM, all in all. One that is off never answers. */
const PATIENCE = Duration.seconds(90)

/** Listing snapshots once took a lock in the whole cluster: gently, then. */
const polls = Schedule.exponential("3 seconds", 1.5).pipe(Schedule.union(Schedule.spaced("15 seconds")))

const Request = Schema.parseJson(Schema.Struct({ vm: Schema.String, snapshot: Schema.String }))

/** Whether an entry is to go: a request for this VM, or something that nobody can read. */
const isOurs = (vm: string) => (value: string): boolean => {
  const request = Option.getOrUndefined(Schema.decodeOption(Request)(value))
  if (request !== undefined) return request.vm === vm
  const json = Option.getOrUndefined(Schema.decodeOption(Schema.parseJson())(value))
  return typeof json !== "object" || json === null || Array.isArray(json)
}

/** Takes a snapshot with the VM's help, or says why without. */
export const take = (consul: Consul["Type"], vm: string): CephRbd.Take => (image, name) =>
  Effect.gen(function*() {
    const rbd = yield* Rbd.Rbd
    const key = `${REQUESTS}${yield* Effect.sync(() => randomUUID())}`

    /** Also what earlier runs left, so that nobody freezes a guest for them. */
    const clean = Effect.gen(function*() {
      for (const entry of yield* consul.list(REQUESTS)) {
        if (entry.key !== key && !isOurs(vm)(entry.value)) continue
        yield* Effect.catchAll(consul.remove(entry.key), (error) => Effect.logWarning(error.message))
      }
    }).pipe(Effect.catchAll((error) => Effect.logWarning(`old snapshot requests are left: ${error.message}`)))

    const isThere = Effect.map(rbd.snapshots(image), (all) => all.some((one) => one.name === name))

    const asked = Effect.gen(function*() {
      yield* clean
      yield* consul.put(key, JSON.stringify({ vm, snapshot: name }))
      return yield* isThere.pipe(
        Effect.repeat({ schedule: polls, until: (there) => there }),
        Effect.delay("3 seconds"),
        Effect.timeoutTo({ duration: PATIENCE, onSuccess: () => true, onTimeout: () => false })
      )
    }).pipe(
      // even when it was never put for certain: an answer may have been lost
      Effect.ensuring(inOwnFiber(Effect.zipRight(
        Effect.catchAll(
          consul.remove(key),
          (error) => Effect.logWarning(`request ${key} may be left: ${error.message}`)
        ),
        clean
      )))
    )

    const why = yield* asked.pipe(
      Effect.map((there) => there ? undefined : `VM ${vm} did not answer within ${Duration.format(PATIENCE)}`),
      Effect.catchTag("ConsulError", (error) => Effect.succeed(error.message))
    )
    if (why === undefined) return
    yield* Effect.logWarning(`${why}; taking a snapshot without its help: it is as consistent as after a power cut`)
    yield* Effect.catchIf(rbd.createSnapshot(image, name), ({ code }) => code === "EEXIST", () =>
      // the VM answered at the last moment
      Effect.void)
  })

/** The source for a VM's image. */
export const make = (
  settings: Settings,
  consul: Consul["Type"]
): Effect.Effect<Source["Type"], never, CephRbd.Services> => CephRbd.make(settings, take(consul, settings.vm))
