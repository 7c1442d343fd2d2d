package db

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
)

// pgRow is the current row of a result.
type pgRow struct{ rows pgx.Rows }

func (r *pgRow) Scan(dest ...any) error {
	fields, raw := r.rows.FieldDescriptions(), r.rows.RawValues()
	if len(raw) != len(dest) {
		return fmt.Errorf("db: row has %d columns, scanned into %d", len(raw), len(dest))
	}
	for i, d := range dest {
		v, err := decode(&fields[i], raw[i])
		if err == nil {
			err = assign(d, v)
		}
		if err != nil {
			return fmt.Errorf("db: column %d: %w", i+1, err)
		}
	}
	return nil
}

// decode reads one column as the server sent it: in binary with prepared statements, as
// text in the exec and simple protocol modes that a pooler in between may need.
func decode(f *pgconn.FieldDescription, raw []byte) (value, error) {
	if raw == nil {
		return value{}, nil
	}
	binaryForm := f.Format == pgx.BinaryFormatCode
	switch f.DataTypeOID {
	case pgtype.TextOID, pgtype.VarcharOID, pgtype.BPCharOID, pgtype.NameOID, pgtype.UnknownOID:
		return value{kind: text, s: string(raw)}, nil
	case pgtype.Int8OID, pgtype.Int4OID, pgtype.Int2OID:
		if binaryForm {
			return value{kind: integer, n: binaryInt(raw)}, nil
		}
		n, err := strconv.ParseInt(string(raw), 10, 64)
		return value{kind: integer, n: n}, err
	case pgtype.BoolOID:
		v := value{kind: integer}
		if len(raw) == 1 && (raw[0] == 1 || raw[0] == 't') {
			v.n = 1
		}
		return v, nil
	case pgtype.ByteaOID:
		if binaryForm {
			return value{kind: blob, b: append([]byte{}, raw...)}, nil
		}
		if len(raw) < 2 || raw[0] != '\\' || raw[1] != 'x' {
			return value{}, fmt.Errorf("bytea is not in hex form")
		}
		b := make([]byte, hex.DecodedLen(len(raw)-2))
		_, err := hex.Decode(b, raw[2:])
		return value{kind: blob, b: b}, err
	case pgtype.NumericOID:
		// The sum of a BIGINT column is numeric here and an integer on SQLite.
		var n pgtype.Int8
		var num pgtype.Numeric
		err := pgtype.NewMap().Scan(f.DataTypeOID, f.Format, raw, &num)
		if err == nil {
			n, err = num.Int64Value()
		}
		return value{kind: integer, n: n.Int64}, err
	}
	return value{}, fmt.Errorf("type with OID %d is not in use here", f.DataTypeOID)
}

func binaryInt(raw []byte) int64 {
	switch len(raw) {
	case 8:
		return int64(binary.BigEndian.Uint64(raw))
	case 4:
		return int64(int32(binary.BigEndian.Uint32(raw)))
	}
	return int64(int16(binary.BigEndian.Uint16(raw)))
}
