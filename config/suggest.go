package config

import "strings"

// nearest is the known word that was probably meant by word; empty if none is
// near.
func nearest(word string, known []string) string {
	best, nearestBy := "", 0
	for _, k := range known {
		d := distance(fold(word), fold(k))
		// A third of the letters: "address" finds "addresses", "bgp" finds nothing.
		if d <= max(len(k)/3, 1) && (best == "" || d < nearestBy) {
			best, nearestBy = k, d
		}
	}
	return best
}

// fold makes advertInterval and advert-interval the same as advert_interval.
func fold(word string) string {
	return strings.ToLower(strings.NewReplacer("_", "", "-", "").Replace(word))
}

// distance is the number of insertions, deletions, replacements and swaps of
// neighbours between a and b, in bytes (optimal string alignment).
func distance(a, b string) int {
	// No key is near to a word this long, and the table below is its product.
	if len(a) > 64 {
		return len(a)
	}
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			d := min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d = min(d, rows[i-2][j-2]+1)
			}
			rows[i][j] = d
		}
	}
	return rows[len(a)][len(b)]
}
