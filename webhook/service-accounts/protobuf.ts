/** The bytes are not what a server would have sent. */
export class Malformed extends Error {}

/** The rest of a message is not there. */
export class CutOff extends Malformed {}

const [VARINT, FIXED_64, BYTES, FIXED_32] = [0, 1, 2, 5];

/**
 * Walks one message in the wire format of Protocol Buffers (https://protobuf.dev/programming-guides/encoding/), field
 * by field, and copies nothing but the texts asked for. Only fields with a length are shown: texts and messages.
 */
export class Message {
  /** The number of the field that `next` came to. */
  field = 0;
  readonly #bytes: Buffer;
  readonly #end: number;
  #at: number;
  #from = 0;
  #to = 0;

  constructor(bytes: Buffer, start = 0, end = bytes.length) {
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
  }

  /** On to the next field with a length; false where there is none. Throws Malformed; CutOff where the bytes end. */
  next(): boolean {
    while (this.#at < this.#end) {
      const tag = this.#varint();
      const type = tag & 7;
      this.field = Math.floor(tag / 8);
      this.#from = this.#at;
      if (type === VARINT) this.#varint();
      else if (type === FIXED_64) this.#at += 8;
      else if (type === FIXED_32) this.#at += 4;
      else if (type === BYTES) {
        const length = this.#varint();
        this.#from = this.#at;
        this.#at += length;
      } else throw new Malformed(`a field has the unknown type ${type}`);
      if (this.#at > this.#end) throw new Malformed('a field is longer than its message');
      this.#to = this.#at;
      if (type === BYTES) return true;
    }
    return false;
  }

  /** Where the field's content begins. */
  get from(): number {
    return this.#from;
  }

  /** Where it ends, and the next field begins; beyond the bytes where these are the first ones of a longer message. */
  get to(): number {
    return this.#to;
  }

  /** The field as text. */
  text(): string {
    return this.#bytes.toString('utf8', this.#from, this.#to);
  }

  /** The field as a message. */
  message(): Message {
    return new Message(this.#bytes, this.#from, this.#to);
  }

  #varint(): number {
    let value = 0;
    // Ten bytes are 64 bits, the longest there is. Beyond 2^53 digits are lost, which no length or number has.
    for (let scale = 1, read = 0; read < 10; scale *= 128, read++) {
      if (this.#at >= this.#end) throw new Malformed('a number is cut off');
      const byte = this.#bytes[this.#at++];
      if (byte === undefined) throw new CutOff('a number is cut off');
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
    throw new Malformed('a number is too long');
  }
}
