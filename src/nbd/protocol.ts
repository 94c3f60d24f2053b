/**
 * The network block device protocol (doc/proto.md of the project NetworkBlockDevice/nbd) as bytes: what a client and a
 * server both have to know. Numbers are big-endian, offsets and lengths are bytes.
 */

/** The first bytes of a server: `NBDMAGIC`, `IHAVEOPT`, handshake flags. */
export const GREETING = Buffer.from("NBDMAGICIHAVEOPT\0\x03", "latin1")
export const GREETING_MAGIC = "NBDMAGICIHAVEOPT"

/** Flags of the handshake, the same numbers on both sides. */
export const HANDSHAKE = { fixedNewstyle: 1, noZeroes: 2 } as const

/** What a client may ask for before it reads or writes. */
export const OPTION = {
  exportName: 1,
  abort: 2,
  list: 3,
  startTls: 5,
  info: 6,
  go: 7,
  structuredReply: 8,
  listMetaContext: 9,
  setMetaContext: 10
} as const

/** How a server answers an option. Errors have the highest bit. */
export const ANSWER = {
  ack: 1,
  server: 2,
  info: 3,
  metaContext: 4,
  unsupported: 2 ** 31 + 1,
  policy: 2 ** 31 + 2,
  invalid: 2 ** 31 + 3,
  unknown: 2 ** 31 + 6,
  tooBig: 2 ** 31 + 9
} as const
export const isError = (answer: number): boolean => answer >= 2 ** 31

/** What a server tells of an export. */
export const INFO = { export: 0, name: 1, description: 2, blockSize: 3 } as const

/** Flags of an export. */
export const EXPORT_FLAG = {
  hasFlags: 1 << 0,
  readOnly: 1 << 1,
  sendFlush: 1 << 2,
  sendFua: 1 << 3,
  sendTrim: 1 << 5,
  sendWriteZeroes: 1 << 6,
  sendDf: 1 << 7,
  canMultiConn: 1 << 8
} as const

export const COMMAND = {
  read: 0,
  write: 1,
  disconnect: 2,
  flush: 3,
  trim: 4,
  writeZeroes: 6,
  blockStatus: 7
} as const

/** Flags of a command. */
export const COMMAND_FLAG = { fua: 1 << 0, noHole: 1 << 1, df: 1 << 2, reqOne: 1 << 3 } as const

/** The kinds of chunks of a structured reply. */
export const CHUNK = {
  none: 0,
  offsetData: 1,
  offsetHole: 2,
  blockStatus: 5,
  error: 2 ** 15 + 1,
  errorOffset: 2 ** 15 + 2
} as const
/** The flag of a reply's last chunk. */
export const DONE = 1

/** Error numbers of the protocol, which are those of Linux. */
export const ERROR = { EPERM: 1, EIO: 5, ENOMEM: 12, EINVAL: 22, ENOSPC: 28, EOVERFLOW: 75, ESHUTDOWN: 108 } as const
export type ErrorName = keyof typeof ERROR

/** Which ranges are allocated, and which read as zeros. */
export const BASE_ALLOCATION = "base:allocation"
export const ALLOCATION = { data: 0, hole: 1, zero: 2 } as const

/** What a client may ask for in one request when the server says nothing else. */
export const MAX_PAYLOAD = 32 * 1024 * 1024

const OPTION_MAGIC = "IHAVEOPT"
const ANSWER_MAGIC = 0x0003e889045565a9n
const REQUEST_MAGIC = 0x25609513
const SIMPLE_MAGIC = 0x67446698
const STRUCTURED_MAGIC = 0x668e33ef

export const OPTION_HEAD = 16
export const ANSWER_HEAD = 20
export const REQUEST_HEAD = 28
export const SIMPLE_HEAD = 16
export const STRUCTURED_HEAD = 20

/** The head of an option, or `undefined` when the bytes are none. */
export const readOption = (head: Buffer): { readonly option: number; readonly length: number } | undefined =>
  head.toString("latin1", 0, 8) === OPTION_MAGIC
    ? { option: head.readUInt32BE(8), length: head.readUInt32BE(12) }
    : undefined

export const writeOption = (option: number, data: Uint8Array): Buffer => {
  const bytes = Buffer.alloc(OPTION_HEAD + data.length)
  bytes.write(OPTION_MAGIC, "latin1")
  bytes.writeUInt32BE(option, 8)
  bytes.writeUInt32BE(data.length, 12)
  bytes.set(data, OPTION_HEAD)
  return bytes
}

export const readAnswer = (
  head: Buffer
): { readonly option: number; readonly answer: number; readonly length: number } | undefined =>
  head.readBigUInt64BE(0) === ANSWER_MAGIC
    ? { option: head.readUInt32BE(8), answer: head.readUInt32BE(12), length: head.readUInt32BE(16) }
    : undefined

export const writeAnswer = (option: number, answer: number, data: Uint8Array = Buffer.alloc(0)): Buffer => {
  const bytes = Buffer.alloc(ANSWER_HEAD + data.length)
  bytes.writeBigUInt64BE(ANSWER_MAGIC)
  bytes.writeUInt32BE(option, 8)
  bytes.writeUInt32BE(answer, 12)
  bytes.writeUInt32BE(data.length, 16)
  bytes.set(data, ANSWER_HEAD)
  return bytes
}

/** One command of a client. The cookie is the client's; its reply carries it. */
export interface Request {
  readonly flags: number
  readonly command: number
  readonly cookie: bigint
  /** Exact up to 2^53; what lies beyond is beyond every image. */
  readonly offset: number
  readonly length: number
}

export const readRequest = (head: Buffer): Request | undefined =>
  head.readUInt32BE(0) === REQUEST_MAGIC
    ? {
      flags: head.readUInt16BE(4),
      command: head.readUInt16BE(6),
      cookie: head.readBigUInt64BE(8),
      offset: Number(head.readBigUInt64BE(16)),
      length: head.readUInt32BE(24)
    }
    : undefined

export const writeRequest = ({ command, cookie, flags, length, offset }: Request): Buffer => {
  const bytes = Buffer.alloc(REQUEST_HEAD)
  bytes.writeUInt32BE(REQUEST_MAGIC)
  bytes.writeUInt16BE(flags, 4)
  bytes.writeUInt16BE(command, 6)
  bytes.writeBigUInt64BE(cookie, 8)
  bytes.writeBigUInt64BE(BigInt(offset), 16)
  bytes.writeUInt32BE(length, 24)
  return bytes
}

export const readSimple = (head: Buffer): { readonly error: number; readonly cookie: bigint } | undefined =>
  head.readUInt32BE(0) === SIMPLE_MAGIC
    ? { error: head.readUInt32BE(4), cookie: head.readBigUInt64BE(8) }
    : undefined

/** The head of a simple reply, with `room` bytes of content behind it still to be set. */
export const writeSimple = (cookie: bigint, error: number, room = 0): Buffer => {
  const bytes = Buffer.allocUnsafe(SIMPLE_HEAD + room)
  bytes.writeUInt32BE(SIMPLE_MAGIC)
  bytes.writeUInt32BE(error, 4)
  bytes.writeBigUInt64BE(cookie, 8)
  return bytes
}

/** The head of a reply's chunk of `length` bytes, with `room` of them behind it still to be set. */
export const writeStructured = (cookie: bigint, flags: number, kind: number, length: number, room = length): Buffer => {
  const bytes = Buffer.allocUnsafe(STRUCTURED_HEAD + room)
  bytes.writeUInt32BE(STRUCTURED_MAGIC)
  bytes.writeUInt16BE(flags, 4)
  bytes.writeUInt16BE(kind, 6)
  bytes.writeBigUInt64BE(cookie, 8)
  bytes.writeUInt32BE(length, 16)
  return bytes
}

export const readStructured = (
  head: Buffer
): { readonly flags: number; readonly kind: number; readonly cookie: bigint; readonly length: number } | undefined =>
  head.readUInt32BE(0) === STRUCTURED_MAGIC
    ? {
      flags: head.readUInt16BE(4),
      kind: head.readUInt16BE(6),
      cookie: head.readBigUInt64BE(8),
      length: head.readUInt32BE(16)
    }
    : undefined

/** A chunk that says what went wrong, for people too; with `offset`, where. */
export const writeError = (cookie: bigint, error: number, text: string, offset?: number): Buffer => {
  const message = Buffer.from(text).subarray(0, MAX_TEXT)
  const place = offset === undefined ? 0 : 8
  const kind = offset === undefined ? CHUNK.error : CHUNK.errorOffset
  const bytes = writeStructured(cookie, DONE, kind, 6 + message.length + place)
  bytes.writeUInt32BE(error, STRUCTURED_HEAD)
  bytes.writeUInt16BE(message.length, STRUCTURED_HEAD + 4)
  bytes.set(message, STRUCTURED_HEAD + 6)
  if (offset !== undefined) bytes.writeBigUInt64BE(BigInt(offset), STRUCTURED_HEAD + 6 + message.length)
  return bytes
}

/** The longest text of an error, and the longest name of an export, in bytes. */
export const MAX_TEXT = 4096
