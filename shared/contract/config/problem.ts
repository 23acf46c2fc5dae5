// One thing that is wrong with a config file: where, what, and what was probably meant.

export interface ConfigProblem {
  /** 1-based. */
  readonly line: number;
  readonly column: number;
  /** Place in the document: `stitching.keys[1].valid`. */
  readonly path: string;
  readonly code:
    | 'SYNTAX'
    | 'SHAPE'
    | 'UNKNOWN_FIELD'
    | 'NAME'
    | 'DUPLICATE'
    | 'REFERENCE'
    | 'EXPRESSION'
    | 'PATTERN'
    | 'DURATION'
    | 'LIMIT'
    | 'SENSITIVE';
  readonly message: string;
  readonly suggestion?: string;
}
