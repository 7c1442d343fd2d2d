// Package db opens the database and runs transactions.
package db
