/**
 * A few worker threads that run the hot loops. Not @effect/platform's pool: its worker side loads the Effect runtime
 * into every thread, which costs each short command more than the work it has to do, and it restarts a broken worker
 * silently, where backy must fail the operation.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { Worker } from "node:worker_threads"
import { keepKoffi } from "../platform/kernel.ts"
import type { Answer, Failure, Request } from "./BlockProtocol.ts"
import { movable } from "./release.ts"

/** What a thread is told when it starts. */
export interface WorkerSettings {
  /** zstd level of the chunks it writes. */
  readonly level: number
}

/** A thread's message: the answer to a request, or why there is none. */
export type WorkerMessage =
  | { readonly id: number; readonly answer: Answer<Request> }
  | { readonly id: number; readonly failure: Failure }

/** Runs a request on the thread that has the least to do. */
export type Perform = <R extends Request>(request: R) => Effect.Effect<Answer<R>, Failure>

interface Member {
  readonly worker: Worker
  readonly pending: Map<number, Deferred.Deferred<Answer<Request>, Failure>>
}

/** When threads are started. */
export interface PoolOptions {
  /** At once, so that they are ready when the command is. Otherwise one by one, when requests come. */
  readonly eager: boolean
}

/** Why not a single thread could be started: what Node.js says is the word for the error alone. */
const notStarted = (cause: unknown): Failure => ({
  tag: "io",
  operation: "start",
  path: "a worker thread (the limit of processes is too low)",
  code: cause instanceof Error && /^E[A-Z]+$/.test(cause.message) ? cause.message : "EAGAIN"
})

/**
 * Threads running `entry`, ended with the scope. Commands that hardly ever have data start none before the first
 * request. A thread that dies fails its requests and all later ones.
 */
export const make = (
  entry: URL,
  count: number,
  settings: WorkerSettings,
  { eager }: PoolOptions
): Effect.Effect<Perform, never, Scope.Scope> =>
  Effect.gen(function*() {
    const members: Array<Member> = []
    let nextId = 0
    let broken: Failure | undefined

    const fail = (member: Member, failure: Failure) => {
      broken ??= failure
      for (const waiting of member.pending.values()) Deferred.unsafeDone(waiting, Effect.fail(failure))
      member.pending.clear()
    }

    const start = (): Member => {
      const worker = new Worker(entry, { workerData: settings })
      const member: Member = { worker, pending: new Map() }
      worker.on("message", (message: WorkerMessage) => {
        const waiting = member.pending.get(message.id)
        member.pending.delete(message.id)
        if (member.pending.size === 0) worker.unref()
        if (waiting === undefined) return
        Deferred.unsafeDone(
          waiting,
          "answer" in message ? Effect.succeed(message.answer) : Effect.fail(message.failure)
        )
      })
      worker.on("error", (error: Error) =>
        fail(member, { tag: "defect", message: error.message, stack: error.stack ?? "" }))
      worker.on("exit", (code) =>
        fail(member, { tag: "defect", message: `a worker thread ended with code ${code}`, stack: "" }))
      // only a request keeps the process alive
      worker.unref()
      members.push(member)
      return member
    }

    // as many as the system gives: a limit of processes and threads makes it slower, and ends it only without any
    let limit = count
    const startAnother = (): void => {
      try {
        start()
      } catch (cause) {
        if (members.length === 0) {
          broken = notStarted(cause)
        }
        limit = members.length
      }
    }

    const leastBusy = (): Member | undefined => {
      if (members.length < limit) {
        const idle = members.find((member) =>
          member.pending.size === 0
        )
        if (idle !== undefined) {
          return idle
        }
        startAnother()
        const last = members.at(-1)
        if (last?.pending.size === 0) {
          return last
        }
      }
      return members.length === 0 ?
        undefined :
        members.reduce((best, member) =>
          member.pending.size < best.pending.size ? member : best
        )
    }

    if (eager) { while (members.length < limit) startAnother() }

    yield* Effect.addFinalizer(() =>
      Effect.promise(() => {
        if (members.length > 0) keepKoffi()
        return Promise.all(members.map(({ worker }) => {
          worker.removeAllListeners()
          return worker.terminate()
        }))
      })
    )

    // A thread cannot be interrupted in the middle of a batch. An interrupt waits for it (a batch is a few blocks), so
    // that no thread still writes when locks are let go.
    return <R extends Request>(request: R): Effect.Effect<Answer<R>, Failure> =>
      Effect.uninterruptible(Effect.suspend(() => {
        if (broken !== undefined) return Effect.fail(broken)
        const member = leastBusy()
        if (member === undefined) return Effect.fail(broken ?? notStarted(undefined))
        const id = nextId++
        const waiting = Deferred.unsafeMake<Answer<Request>, Failure>(Effect.runSync(Effect.fiberId))
        member.pending.set(id, waiting)
        member.worker.ref()
        member.worker.postMessage({ id, request }, request.op === "put" ? movable(request.content) : [])
        // a thread answers a request with the result that belongs to its `op`
        return Deferred.await(waiting) as Effect.Effect<Answer<R>, Failure>
      }))
  })
