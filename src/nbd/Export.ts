/** What a server of the network block device protocol serves: disks, by name. */
import * as Data from "effect/Data"
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { ErrorName } from "./protocol.ts"

/** Why a request has no other answer than an error. The reason reaches clients that can show it. */
export class Fault extends Data.TaggedError("NbdFault")<{
  readonly code: ErrorName
  readonly reason: string
  /** The first byte that is concerned. */
  readonly offset?: number
}> {
  override get message() {
    return this.reason
  }
}

/** There is no such export, or it cannot be served at the moment. */
export class ExportUnavailable extends Data.TaggedError("ExportUnavailable")<{
  readonly state: "unknown" | "unusable"
  readonly reason: string
}> {
  override get message() {
    return this.reason
  }
}

/** Successive bytes of a disk; without `bytes` they are zeros that take no room. The bytes are only lent: read them. */
export interface Piece {
  readonly length: number
  readonly bytes: Uint8Array | undefined
}

/** Pieces in one, as long as all of them together. */
export const joined = (pieces: ReadonlyArray<Piece>, length: number): Uint8Array => {
  const all = new Uint8Array(length)
  let at = 0
  for (const piece of pieces) {
    if (piece.bytes !== undefined) all.set(piece.bytes, at)
    at += piece.length
  }
  return all
}

/** Successive bytes that are stored (`data`), or read as zeros. */
export interface Allocation {
  readonly length: number
  readonly data: boolean
}

/** How a disk is changed. Offsets and lengths are bytes and lie within the disk. */
export interface Writer {
  /** Later reads see the bytes. They are durable after a `flush`. */
  readonly write: (offset: number, bytes: Uint8Array) => Effect.Effect<void, Fault>
  /** Later reads see zeros; with `hole` they need no room. */
  readonly zero: (offset: number, length: number, how: { readonly hole: boolean }) => Effect.Effect<void, Fault>
  /** What was written before is durable. */
  readonly flush: Effect.Effect<void, Fault>
}

/** A disk. All ranges that are asked for lie within `size` and are not empty. */
export interface Export {
  /** What it is called however it was asked for. */
  readonly name: string
  readonly description: string
  readonly size: number
  /** Bytes that are in memory for every piece, however small it is. */
  readonly unit: number
  readonly read: (offset: number, length: number) => Effect.Effect<ReadonlyArray<Piece>, Fault>
  /** At least the first of the allocations in a range; at most `most` of them. */
  readonly allocations: (offset: number, length: number, most: number) => ReadonlyArray<Allocation>
  /** Absent: it is read-only. */
  readonly writer: Writer | undefined
}

/** The disks of a server. */
export interface Exports {
  readonly list: Effect.Effect<
    ReadonlyArray<{ readonly name: string; readonly description: string }>,
    ExportUnavailable
  >
  /** Opens one until the scope ends. */
  readonly open: (name: string) => Effect.Effect<Export, ExportUnavailable, Scope.Scope>
}
