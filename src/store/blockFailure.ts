/** Translates what the hot loops throw into plain data that crosses a thread border. */
import type { Failure } from "./BlockProtocol.ts"
import { SourceEnded } from "./blockSource.ts"

/** An errno exception stays one, the end of the source too; everything else is a bug in backy. */
export const failureOf = (cause: unknown): Failure => {
  if (cause instanceof SourceEnded) return { tag: "short", path: cause.path, position: cause.position }
  if (cause instanceof Error && "syscall" in cause && "code" in cause) {
    const path = "path" in cause && typeof cause.path === "string" ? cause.path : ""
    return { tag: "io", operation: String(cause.syscall), path, code: String(cause.code) }
  }
  return cause instanceof Error
    ? { tag: "defect", message: cause.message, stack: cause.stack ?? "" }
    : { tag: "defect", message: String(cause), stack: "" }
}
