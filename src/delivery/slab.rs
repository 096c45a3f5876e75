//! A slab: things in numbered places that are used again. A key also knows which use of its place it stands for, so one
//! that outlives its thing finds nothing.

/// Where a thing is, and which thing of those that were there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    place: u32,
    /// How often the place was used before.
    uses: u32,
}

#[derive(Debug)]
struct Place<T> {
    uses: u32,
    thing: Option<T>,
}

/// Things by key.
#[derive(Debug)]
pub struct Slab<T> {
    places: Vec<Place<T>>,
    free: Vec<u32>,
}

impl<T> Slab<T> {
    pub fn new() -> Self {
        Slab { places: Vec::new(), free: Vec::new() }
    }

    pub fn insert(&mut self, thing: T) -> Key {
        if let Some(place) = self.free.pop()
            && let Some(found) = self.places.get_mut(place as usize)
        {
            found.thing = Some(thing);
            return Key { place, uses: found.uses };
        }
        // Memory ends long before the numbers do.
        let place = u32::try_from(self.places.len()).unwrap_or(u32::MAX);
        self.places.push(Place { uses: 0, thing: Some(thing) });
        Key { place, uses: 0 }
    }

    pub fn get(&self, key: Key) -> Option<&T> {
        self.places.get(key.place as usize).filter(|place| place.uses == key.uses)?.thing.as_ref()
    }

    pub fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        self.places.get_mut(key.place as usize).filter(|place| place.uses == key.uses)?.thing.as_mut()
    }

    pub fn remove(&mut self, key: Key) -> Option<T> {
        let place = self.places.get_mut(key.place as usize).filter(|place| place.uses == key.uses)?;
        let thing = place.thing.take()?;
        place.uses = place.uses.wrapping_add(1);
        self.free.push(key.place);
        Some(thing)
    }

    /// All that is there, in the order of the places.
    pub fn iter(&self) -> impl Iterator<Item = (Key, &T)> {
        self.places
            .iter()
            .zip(0..)
            .filter_map(|(Place { uses, thing }, place)| Some((Key { place, uses: *uses }, thing.as_ref()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_used_again_and_an_old_key_finds_nothing() {
        let mut slab = Slab::new();
        let (a, b) = (slab.insert("a"), slab.insert("b"));
        assert_eq!(slab.remove(a), Some("a"));
        let c = slab.insert("c");
        assert_eq!((c.place, slab.places.len()), (a.place, 2));
        assert_eq!(slab.get(a), None);
        assert_eq!(slab.get_mut(a), None);
        assert_eq!(slab.remove(a), None);
        assert_eq!((slab.get(b), slab.get(c)), (Some(&"b"), Some(&"c")));
        assert_eq!(slab.iter().collect::<Vec<_>>(), [(c, &"c"), (b, &"b")]);
    }
}
